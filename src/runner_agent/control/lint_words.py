"""Words of a shell script: where a quote or a substitution ends, and what is in it."""

import re
from collections.abc import Iterator

_DEEPEST = 50
"""Substitutions within one another."""
_ANSI = re.compile(r"\$'(?:[^'\\]|\\.)*'?", re.DOTALL)
"""`$'...'`, which has escapes of its own."""
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def unquoted(word: str) -> str:
    """A word as the shell hands it on, what it would replace left as it is."""
    taken: list[str] = []
    at = 0
    while at < len(word):
        char = word[at]
        end = closing(word, at) if char in "'\"" or word.startswith(("$(", "$'"), at) else at + 1
        if char == "'":
            taken.append(word[at + 1 : end - 1])
        elif char == '"':
            taken.append(re.sub(r'\\(\n|["\\$`])', lambda kept: kept[1].strip(), word[at + 1 : end - 1]))
        elif word.startswith("$'", at):
            inner = word[at + 2 : end - 1]
            taken.append(re.sub(r"(?s)\\(.)", lambda kept: _ESCAPES.get(kept[1], kept[1]), inner))
        elif char == "\\":
            end = at + 2
            taken.append(word[at + 1 : end])
        else:
            taken.append(word[at:end])
        at = end
    return "".join(taken)


def substitutions(word: str, *, quotes: bool = True) -> Iterator[str]:
    """What stands in `$(...)`, `<(...)` and backticks, but not in single quotes. `quotes`: that there are
    such, as there are not in a here-document.
    """
    at, double = 0, not quotes
    while at < len(word):
        process = not double and word.startswith(("<(", ">("), at)
        if process or (word.startswith("$(", at) and not word.startswith("$((", at)):
            end = closing(word, at)
            yield word[at + 2 : end - 1]
        elif word[at] == "`":
            end = closing(word, at)
            yield word[at + 1 : end - 1]
        elif not double and (word[at] == "'" or word.startswith("$'", at)):
            end = closing(word, at)
        else:
            double ^= quotes and word[at] == '"'
            end = at + (2 if word[at] == "\\" else 1)
        at = end


def closing(script: str, at: int, depth: int = 0) -> int:
    """Behind the quote, bracket or substitution that opens at `at`."""
    opening = script[at]
    if ansi := _ANSI.match(script, at):
        return ansi.end()
    if opening in "'`":
        end = script.find(opening, at + 1)
        return len(script) if end < 0 else end + 1
    if depth > _DEEPEST:
        return len(script)
    closes = '"' if opening == '"' else "}" if script.startswith("${", at) else ")"
    at += 1 if opening == '"' else 2
    open_ = 1
    while at < len(script):
        char = script[at]
        if char == "\\":
            at += 2
        elif char == closes:
            open_ -= 1
            at += 1
            if not open_:
                return at
        elif closes == ")" and char == "(":
            open_ += 1
            at += 1
        elif (char in "'\"" and closes != '"') or script.startswith(("$(", "${"), at):
            at = closing(script, at, depth + 1)
        else:
            at += 1
    return len(script)
