"""What the vendor's `gitpod` and `ona` are asked for that this agent answers in their place.

The stand-in on the PATH of commands answers by this table, and the warnings about scripts follow it.
"""

from collections.abc import Sequence
from enum import Enum

AUTOMATIONS = ("automations", "automation", "auto", "aut", "a")
ENVIRONMENT = ("environment", "environments", "env", "e")
PORT = ("port", "ports")


class Verb(Enum):
    """What is answered; the value is the words that ask for it, each in all its spellings."""

    AUTOMATIONS = (AUTOMATIONS,)
    OPEN_PORT = (ENVIRONMENT, PORT, ("open",))
    HELP = (("help", "--help", "-h"),)
    VERSION = (("version", "--version"),)


def verb_of(words: Sequence[str]) -> tuple[Verb | None, Sequence[str]]:
    """What these words ask for, None for what is not answered, and what is left of them. No words: HELP."""
    if not words:
        return Verb.HELP, words
    for verb in Verb:
        form = verb.value
        if len(words) >= len(form) and all(word in ways for word, ways in zip(words, form, strict=False)):
            return verb, words[len(form) :]
    return None, words
