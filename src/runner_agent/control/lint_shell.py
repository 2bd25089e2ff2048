"""A shell script as the statements it runs, one after the other: enough of the grammar to judge by."""

import re
from collections.abc import Iterator
from dataclasses import replace

from runner_agent.control.lint_words import closing, substitutions, unquoted
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
_RUNNER = re.compile(rf"{_WRAPPER.pattern[:-1]}|(?:nohup|xargs|setsid)$")
_OF_A_RUNNER = re.compile(r"-.*|[0-9.]+[smhd]?|[A-Z]{2,}|\{\}|%|['\"].{0,3}['\"]")
"""Its options, and what they commonly take."""
_SYSTEM = re.compile(r"(?:/usr)?/bin/")
_USER = re.compile(r"(?:su|runuser|sg)$")
_NESTED = 3
"""Scripts within one another that are looked into."""
_HEREDOC = re.compile(r"<<(-?)[ \t]*(['\"]?)([^\s'\"<>|&;()]+)\2")


@dataclass(frozen=True, slots=True)
class Statement:
    """One simple command, or a word of the grammar such as `done`. `line` counts from 0.

    `ends`: what ended it, such as `&&` or a newline. `guarded`: its failure is of no account, since `||`
    follows or `if` asks. `document`: what comes to it by `<<` and is expanded.
    """

    line: int
    words: tuple[str, ...]
    ends: str = ""
    guarded: bool = False
    document: str = ""

    @property
    def background(self) -> bool:
        """Ended by a lone `&`."""
        return self.ends == "&"

    @property
    def command(self) -> tuple[str, ...]:
        """Without what only introduces it: `then`, `sudo -E`, `exec`, `A=b`."""
        words, at, optional = self.words, 0, False
        while at < len(words) and (
            _SYSTEM.sub("", words[at], count=1) in _LEADING
            or _ASSIGNMENT.match(words[at])
            or (optional and words[at].startswith("-") and at + 1 < len(words))
        ):
            optional = _SYSTEM.sub("", words[at], count=1) in _WITH_OPTIONS or (
                optional and words[at].startswith("-")
            )
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
    """The statements, and those in them: `x="$(gp url 3000)"` and `trap 'gp url 3000' EXIT` run `gp` too."""
    for statement in statements(script):
        yield statement
        for inner in _within(statement) if depth < _NESTED else ():
            for found in commands_in(inner, depth + 1):
                yield replace(found, line=statement.line, guarded=found.guarded or statement.guarded)


def _within(statement: Statement) -> Iterator[str]:
    for word in statement.words:
        yield from substitutions(word)
    yield from substitutions(statement.document, quotes=False)
    command = statement.command
    if len(command) > 2 and command[0] == "trap":
        yield unquoted(command[1])


def run_by(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command itself, or what `timeout 60 COMMAND`, `xargs COMMAND` and the like run."""
    at = 0
    while at < len(command) and _RUNNER.match(command[at]):
        at += 1
        while at < len(command) and _OF_A_RUNNER.fullmatch(command[at]):
            at += 1
    return command[at:]


def _opened(script: str, depth: int) -> Iterator[Statement]:
    for statement in _Splitter(script).split():
        inner = _script_of(statement.command) if depth < _NESTED else ""
        nested = [*_opened(inner, depth + 1)] if inner else []
        lines = sum(word.count("\n") for word in statement.words)
        for one in nested:
            line = statement.line + min(one.line, lines)
            yield replace(one, line=line, guarded=one.guarded or statement.guarded)
        if statement.background or not nested:
            yield statement


def _script_of(command: tuple[str, ...]) -> str:
    """What `bash -lc "..."`, `su -c "..."` or `eval "..."` runs, also behind `timeout 60` and the like; "" if
    it is nothing of the kind.
    """
    words = command
    if words and _WRAPPER.match(words[0]):
        shell = next((at for at, word in enumerate(words) if _SHELLS.match(word)), len(words))
        words = words[shell:]
    if not words:
        return ""
    if words[0] == "eval":
        return " ".join(map(unquoted, words[1:]))
    if _USER.match(words[0]):
        option = next((at for at, word in enumerate(words) if word in {"-c", "-lc", "--command"}), len(words))
        return unquoted("".join(words[option + 1 : option + 2]))
    return _given_to_shell(words) if _SHELLS.match(words[0]) else ""


def _given_to_shell(words: tuple[str, ...]) -> str:
    at = 1
    while at < len(words) and words[at][:1] in {"-", "+"}:
        option = words[at]
        at += 2 if option[-1:] in {"o", "O"} and not option.startswith("--") else 1
        if not option.startswith("--") and "c" in option:
            return unquoted(words[at]) if at < len(words) else ""
    return ""


class _Splitter:
    def __init__(self, script: str) -> None:
        self._script = script
        self._at = 0
        self._line = 0
        self._began = 0
        self._word: list[str] = []
        self._words: list[str] = []
        self._heredocs: list[tuple[str, bool, bool]] = []
        self._found: list[Statement] = []

    def split(self) -> tuple[Statement, ...]:
        while self._at < len(self._script):
            self._step(self._script[self._at])
        self._end()
        return tuple(_guarded(self._found))

    def _step(self, char: str) -> None:
        rest = self._script[self._at : self._at + 3]
        if char == "\\":
            self._take(2, keep=rest[1:2] != "\n")
        elif char in "'\"`" or rest.startswith(("$(", "<(", ">(", "${", "$'")):
            self._take(closing(self._script, self._at) - self._at)
        elif char == "(" and self._word and self._word[-1].endswith("="):  # an array
            self._take(closing(self._script, self._at - 1) - self._at)
        elif char == "#" and not self._word:
            end = self._script.find("\n", self._at)
            self._at = len(self._script) if end < 0 else end
        elif rest.startswith("<<") and rest != "<<<" and (doc := _HEREDOC.match(self._script, self._at)):
            bare = doc[3].replace("\\", "")
            self._heredocs.append((bare, bool(doc[1]), not doc[2] and bare == doc[3]))
            self._take(doc.end() - self._at)
        elif char == "\n":
            self._end("\n")
            self._take(1, keep=False)
            self._skip_heredocs()
        elif char in " \t\r":
            self._end_word()
            self._at += 1
        elif char == "&" and (rest.startswith("&>") or self._redirects):
            self._take(1)  # a redirection
        elif char == "&" and not rest.startswith("&&"):
            self._end("&")
            self._at += 1
        elif char in ";|&()":
            operator = rest[:2] if rest.startswith(("&&", "||", "|&", ";;")) else char
            self._end(operator)
            self._at += len(operator)
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

    def _end(self, operator: str = "") -> None:
        self._end_word()
        if self._words:
            self._found.append(Statement(self._began, tuple(self._words), operator))
            self._words = []

    def _skip_heredocs(self) -> None:
        for delimiter, tabs, expanded in self._heredocs:
            began = self._at
            while self._at < len(self._script):
                end = self._script.find("\n", self._at)
                end = len(self._script) if end < 0 else end
                line = self._script[self._at : end]
                self._take(end + 1 - self._at, keep=False)
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
            if expanded and self._found:
                last = self._found[-1]
                self._found[-1] = replace(last, document=last.document + self._script[began : self._at])
        self._heredocs.clear()


def _guarded(found: list[Statement]) -> Iterator[Statement]:
    """With whether the failure of each counts: in `a | b || c`, of c alone; in `if a; then b`, of b alone."""
    follows: list[bool] = []
    guard = False
    for statement in reversed(found):
        guard = statement.ends == "||" or (guard and statement.ends in {"&&", "|", "|&", ")"})
        follows.append(guard)
    asking = False
    for statement, guard in zip(found, reversed(follows), strict=True):
        asking = statement.words[0] in {"if", "elif"} or (asking and statement.words[0] != "then")
        yield replace(statement, guarded=guard or asking)
