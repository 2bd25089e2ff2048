"""The language of scripted commands: a few words of shell, so that a script means the same to bash and here.

    sleep 3; sleep infinity          echo hello         printf 'no newline'      exit 4
    echo key=value >> "$GITPOD_OUTPUT"                  touch up; test -e up; rm up (flags, not files)
    trap '' TERM                     trap 'echo bye; exit 3' TERM                kill -SEGV $$
    (sleep 60) &                     a child in the command's own process group
    setsid sh -c 'sleep 60' &        a child that has left the group             wait

What no script can do is told by a comment of its own, which bash passes over:

    #: prepare 30                    preparing takes 30 s
    #: cannot prepare no such image  #: cannot start no such directory
    #: unkillable 40                 its processes outlive SIGKILL by 40 s
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

_TOKEN = re.compile(
    r"(?P<space>[ \t]+)|(?P<comment>#[^\n]*)|(?P<op>>>|[();&\n])"
    r"|(?P<word>(?:'[^']*'|\"[^\"]*\"|[^\s'\"();&>])+)"
)
_PIECE = re.compile(r"'(?P<literal>[^']*)'|\"(?P<quoted>[^\"]*)\"|(?P<bare>[^'\"]+)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+)|(\$))")


@dataclass(frozen=True, slots=True)
class Command:
    """Words as they were written, expanded only when it runs. `into`: where it appends to, "" for the log."""

    words: tuple[str, ...]
    into: str = ""
    background: bool = False


@dataclass(frozen=True, slots=True)
class Subshell:
    """A child that runs these, in its parent's process group."""

    body: tuple["Statement", ...]
    background: bool = False


Statement = Command | Subshell


@dataclass(frozen=True, slots=True)
class Script:
    """What a command does, and what the comments say of it; times in seconds."""

    body: tuple[Statement, ...]
    prepare: float = 0.0
    cannot_prepare: str = ""
    cannot_start: str = ""
    unkillable: float = 0.0


def parse(text: str) -> Script:
    """Raises ValueError for what cannot be read; a word nobody knows is an error only once it is run."""
    tokens = _Tokens(text)
    body = tuple(_statements(tokens))
    if tokens.next is not None:
        raise ValueError(f"cannot read {tokens.next!r} where a statement is due, in: {text}")
    return _remarked(Script(body), text)


def expand(word: str, env: Mapping[str, str], pid: int) -> str:
    """The word without its quotes, its variables replaced."""

    def value(match: re.Match[str]) -> str:
        return str(pid) if match[3] else env.get(match[1] or match[2], "")

    def piece(match: re.Match[str]) -> str:
        literal: str | None = match["literal"]
        return (
            literal if literal is not None else _VARIABLE.sub(value, match["quoted"] or match["bare"] or "")
        )

    return _PIECE.sub(piece, word)


@dataclass(slots=True)
class _Tokens:
    """One token of foresight. `next` is None at the end; words are kept apart from operators by `is_word`."""

    text: str
    at: int = 0
    next: str | None = field(init=False, default=None)
    is_word: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._read()

    def take(self) -> str:
        taken = self.next
        self._read()
        if taken is None:
            raise ValueError(f"cannot read the script, it ends too soon: {self.text}")
        return taken

    def took(self, operator: str) -> bool:
        if self.is_word or self.next != operator:
            return False
        self._read()
        return True

    def _read(self) -> None:
        self.next = None
        while self.next is None and self.at < len(self.text):
            match = _TOKEN.match(self.text, self.at)
            if match is None:
                raise ValueError(f"cannot read {self.text[self.at :]!r}, in: {self.text}")
            self.at = match.end()
            self.next = match["op"] or match["word"]
            self.is_word = match["word"] is not None


def _statements(tokens: _Tokens) -> Iterator[Statement]:
    while True:
        while tokens.took(";") or tokens.took("\n"):
            pass
        if tokens.took("("):
            body = tuple(_statements(tokens))
            if not tokens.took(")"):
                raise ValueError(f"cannot read the script, a bracket is not closed: {tokens.text}")
            yield Subshell(body, background=tokens.took("&"))
        elif tokens.is_word and tokens.next is not None:
            yield _command(tokens)
        else:
            return


def _command(tokens: _Tokens) -> Command:
    words: list[str] = []
    into = ""
    while tokens.next is not None:
        if tokens.is_word:
            words.append(tokens.take())
        elif tokens.took(">>"):
            into = tokens.take()
        else:
            break
    return Command(tuple(words), into, background=tokens.took("&"))


def _remarked(script: Script, text: str) -> Script:
    for line in text.splitlines():
        mark, _, remark = line.strip().partition("#:")
        words = [] if mark else remark.split()
        match words:
            case ["prepare", seconds]:
                script = replace(script, prepare=float(seconds))
            case ["unkillable", seconds]:
                script = replace(script, unkillable=float(seconds))
            case ["cannot", "prepare", *reason]:
                script = replace(script, cannot_prepare=" ".join(reason))
            case ["cannot", "start", *reason]:
                script = replace(script, cannot_start=" ".join(reason))
            case []:
                pass
            case _:
                raise ValueError(f"cannot read the remark {line.strip()!r}")
    return script
