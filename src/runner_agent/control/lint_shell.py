"""A shell script as the statements it runs, one after the other: enough of the grammar to judge by."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import dropwhile

from runner_agent.model.frozen import dataclass

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_LEADING = frozenset(
    (
        *("if", "then", "elif", "else", "while", "until", "do", "!", "{"),
        *("time", "exec", "sudo", "command", "env", "builtin"),
    )
)
_WITH_OPTIONS = frozenset(("sudo", "env", "exec", "time"))
_WITH_VALUE = frozenset(("-u", "-g", "--user", "--group"))
_PLAIN = re.compile(r"[^\s\\'\"`$<>#;|&()]+")
_ENOUGH = 2_000
"""Characters of a command that are judged: nobody writes more before saying what it is."""
_SHELLS = re.compile(r"(?:\S*/)?(?:bash|sh|dash|ash|zsh|ksh)$")
_WRAPPER = re.compile(r"(?:timeout|nice|ionice|stdbuf|xvfb-run|chrt|taskset)$")
_NESTED = 3
"""Scripts within one another that are looked into."""
_DEEPEST = 50
"""Substitutions within one another."""
_HEREDOC = re.compile(r"<<(-?)[ \t]*(['\"]?)([^\s'\"<>|&;()]+)\2")


@dataclass(frozen=True, slots=True)
class Statement:
    """One simple command, or a word of the grammar such as `done`. `line` counts from 0.

    `background`: ended by a lone `&`.
    """

    line: int
    words: tuple[str, ...]
    background: bool = False

    @property
    def command(self) -> tuple[str, ...]:
        """Without what only introduces it: `then`, `sudo -E`, `exec`, `A=b`."""
        words, at, optional = self.words, 0, False
        while at < len(words) and (
            words[at] in _LEADING
            or _ASSIGNMENT.match(words[at])
            or (optional and words[at].startswith("-") and at + 1 < len(words))
        ):
            optional = words[at] in _WITH_OPTIONS or (optional and words[at].startswith("-"))
            at += 2 if words[at] in _WITH_VALUE else 1
        return words[at:]

    @property
    def text(self) -> str:
        """The beginning of the command, on one line."""
        return " ".join(self.command)[:_ENOUGH]


def statements(script: str) -> tuple[Statement, ...]:
    """In the order written, whatever branch or loop they stand in. For `bash -c "..."` what that runs."""
    return tuple(_opened(script, 0))


def commands_in(script: str, depth: int = 0) -> Iterator[Statement]:
    """The statements, and those of the substitutions in them: `x="$(gp url 3000)"` runs `gp` too."""
    for statement in statements(script):
        yield statement
        for word in statement.words if depth < _NESTED else ():
            for inner in _substitutions(word):
                for found in commands_in(inner, depth + 1):
                    yield replace(found, line=statement.line)


def _opened(script: str, depth: int) -> Iterator[Statement]:
    for statement in _Splitter(script).split():
        inner = _script_of(statement.command) if depth < _NESTED else ""
        nested = [*_opened(inner, depth + 1)] if inner else []
        yield from (replace(one, line=one.line + statement.line) for one in nested)
        if statement.background or not nested:
            yield statement


def _script_of(command: tuple[str, ...]) -> str:
    """What `bash -lc "..."` runs, also behind `timeout 60` and the like; "" if it is nothing of the kind."""
    words = list(command)
    if words and _WRAPPER.match(words[0]):
        words = [*dropwhile(lambda word: not _SHELLS.match(word), words)]
    if not words or not _SHELLS.match(words[0]):
        return ""
    at = 1
    while at < len(words) and words[at][:1] in {"-", "+"}:
        option = words[at]
        at += 2 if option[-1:] in {"o", "O"} and not option.startswith("--") else 1
        if not option.startswith("--") and "c" in option:
            return unquoted(words[at]) if at < len(words) else ""
    return ""


def unquoted(word: str) -> str:
    """A word as the shell hands it on, what it would replace left as it is."""
    taken: list[str] = []
    at = 0
    while at < len(word):
        char = word[at]
        end = _closing(word, at) if char in "'\"" or word.startswith("$(", at) else at + 1
        if char == "'":
            taken.append(word[at + 1 : end - 1])
        elif char == '"':
            taken.append(re.sub(r'\\(\n|["\\$`])', lambda kept: kept[1].strip(), word[at + 1 : end - 1]))
        elif char == "\\":
            end = at + 2
            taken.append(word[at + 1 : end])
        else:
            taken.append(word[at:end])
        at = end
    return "".join(taken)


def _substitutions(word: str) -> Iterator[str]:
    """What stands in `$(...)` and backticks, but not in single quotes."""
    at = 0
    while at < len(word):
        if word.startswith("$(", at) and not word.startswith("$((", at):
            end = _closing(word, at)
            yield word[at + 2 : end - 1]
        elif word[at] == "`":
            end = _closing(word, at)
            yield word[at + 1 : end - 1]
        elif word[at] == "'" and '"' not in word[:at]:
            end = _closing(word, at)
        else:
            end = at + (2 if word[at] == "\\" else 1)
        at = end


class _Splitter:
    def __init__(self, script: str) -> None:
        self._script = script
        self._at = 0
        self._line = 0
        self._began = 0
        self._word: list[str] = []
        self._words: list[str] = []
        self._heredocs: list[tuple[str, bool]] = []
        self._found: list[Statement] = []

    def split(self) -> tuple[Statement, ...]:
        while self._at < len(self._script):
            self._step(self._script[self._at])
        self._end()
        return tuple(self._found)

    def _step(self, char: str) -> None:
        rest = self._script[self._at : self._at + 3]
        if char == "\\":
            self._take(2, keep=rest[1:2] != "\n")
        elif char in "'\"`" or rest.startswith(("$(", "<(", ">(", "${")):
            self._take(_closing(self._script, self._at) - self._at)
        elif char == "#" and not self._word:
            end = self._script.find("\n", self._at)
            self._at = len(self._script) if end < 0 else end
        elif rest.startswith("<<") and rest != "<<<" and (doc := _HEREDOC.match(self._script, self._at)):
            self._heredocs.append((doc[3], bool(doc[1])))
            self._take(doc.end() - self._at)
        elif char == "\n":
            self._end()
            self._take(1, keep=False)
            self._skip_heredocs()
        elif char in " \t\r":
            self._end_word()
            self._at += 1
        elif char == "&" and (rest.startswith("&>") or self._redirects):
            self._take(1)  # a redirection
        elif char == "&" and not rest.startswith("&&"):
            self._end(background=True)
            self._at += 1
        elif char in ";|&()":
            self._end()
            self._at += 2 if rest.startswith(("&&", "||", "|&", ";;")) else 1
            if char == ")":
                self._word = [")"]  # so that `( ... ) &` has something to be in the background
        else:
            plain = _PLAIN.match(self._script, self._at)
            self._take(plain.end() - self._at if plain else 1)

    @property
    def _redirects(self) -> bool:
        return bool(self._word) and self._word[-1].endswith((">", "<"))

    def _take(self, count: int, *, keep: bool = True) -> None:
        taken = self._script[self._at : self._at + count]
        if keep:
            if not self._word and not self._words:
                self._began = self._line
            self._word.append(taken)
        self._line += taken.count("\n")
        self._at += count

    def _end_word(self) -> None:
        if self._word:
            self._words.append("".join(self._word))
            self._word = []

    def _end(self, *, background: bool = False) -> None:
        self._end_word()
        if self._words:
            self._found.append(Statement(self._began, tuple(self._words), background))
            self._words = []

    def _skip_heredocs(self) -> None:
        for delimiter, tabs in self._heredocs:
            while self._at < len(self._script):
                end = self._script.find("\n", self._at)
                end = len(self._script) if end < 0 else end
                line = self._script[self._at : end]
                self._take(end + 1 - self._at, keep=False)
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
        self._heredocs.clear()


def _closing(script: str, at: int, depth: int = 0) -> int:
    """Behind the quote, bracket or substitution that opens at `at`."""
    opening = script[at]
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
            at = _closing(script, at, depth + 1)
        else:
            at += 1
    return len(script)
