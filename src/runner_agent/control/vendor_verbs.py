"""What the vendor's `gitpod` and `ona` are asked for that this agent answers in their place.

The stand-in on the PATH of commands answers by this table, and the warnings about scripts follow it.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

AUTOMATIONS = ("automations", "automation", "auto", "aut", "a")
ENVIRONMENT = ("environment", "environments", "env", "e")
PORT = ("port", "ports")
_OF_BOTH = ("list", "get", "start", "stop", "delete", "logs")
COMMANDS: Mapping[str, Sequence[str]] = {
    "init": (),
    "validate": (),
    "update": (),
    "schema": (),
    "service": (*_OF_BOTH, "restart"),
    "task": (*_OF_BOTH, "list-executions"),
}
"""Of AUTOMATIONS, with the commands of those that have some."""
ALIASES: Mapping[str, str] = {"services": "service", "tasks": "task"}


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


def commands_instead(words: Sequence[str]) -> Sequence[str]:
    """The commands there are, where these words, behind AUTOMATIONS, ask for one in vain; none where they
    do not, or where nobody can say.
    """
    known: Sequence[str] = tuple(COMMANDS)
    for at in range(2):
        word = words[at] if at < len(words) else ""
        if not known or word.startswith("-") or "$" in word or "`" in word:
            break
        name = word if at else ALIASES.get(word, word)
        if name not in known:
            return known
        known = () if at else COMMANDS[name]
    return ()
