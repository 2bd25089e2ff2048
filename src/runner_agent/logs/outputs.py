"""The language of output files, read as it is written: `key=value`, or `key<<DELIM` ... `DELIM` (rule 5.3).

Pure: bytes in, findings out. Commands append, so only the statement being written is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_KEY = 128
MAX_VALUE = 4096
"""Longest key and value, in characters."""

_MAX_BYTES = MAX_KEY + 2 + 4 * MAX_VALUE
"""No good statement is longer: of a line or a block beyond it, nothing is kept."""
_BOM = "\ufeff".encode()
_MAX_REPORTS = 100
"""Bad lines of one file that are told of."""


@dataclass(frozen=True, slots=True)
class Assign:
    """The command wrote this value; "" unsets the key."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was skipped. The reason never quotes it: it may hold a secret."""

    line: int
    reason: str


Finding = Assign | BadLine


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a file was read, at a boundary between statements: a place to go on from after a restart."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class _Opening:
    key: str
    delimiter: bytes


@dataclass(slots=True)
class _Block:
    """A value of several lines whose end has not come yet."""

    opening: _Opening
    line: int
    held: list[bytes] = field(default_factory=list[bytes])
    size: int = 0

    def take(self, line: bytes, size: int) -> None:
        self.size += size + 1
        if self.size <= _MAX_BYTES:
            self.held.append(line)
        else:
            self.held.clear()


class OutputParser:
    """Feed it what was appended; it gives what that amounts to, in the order written."""

    def __init__(self, mark: Mark | None = None) -> None:
        self._mark = mark or Mark()
        self._offset, self._line = self._mark.offset, self._mark.line
        self._partial = bytearray()  # the line being written, cut off once it is too long
        self._partial_size = 0
        self._block: _Block | None = None
        self._reports = 0

    @property
    def mark(self) -> Mark:
        """The end of the last whole statement."""
        return self._mark

    def feed(self, data: bytes) -> list[Finding]:
        """What became certain with these bytes: a line counts once its end is there."""
        found: list[Finding] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._extend(line)
            self._end_line(found)
        self._extend(rest)
        return self._bounded(found)

    def peek(self) -> list[Finding]:
        """What the unfinished last line would amount to if it ended here; changes nothing."""
        if not self._partial or self._partial_size > _MAX_BYTES:
            return []
        line = self._plain(bytes(self._partial), self._line + 1)
        if self._block is None:
            found: Finding | _Opening | None = _read_statement(line, self._line + 1)
        else:
            found = _close(self._block) if line == self._block.opening.delimiter else None
        return [found] if isinstance(found, Assign) else []

    def finish(self) -> list[Finding]:
        """The command has ended: what stands there is all."""
        found: list[Finding] = []
        if self._partial_size:
            self._end_line(found, ended_by=0)
        if self._block is not None:
            block, self._block = self._block, None
            found.append(_unended(block.line))
            self._replay(block, found)
            self._mark = Mark(self._offset, self._line)
        return self._bounded(found)

    def _extend(self, part: bytes) -> None:
        self._partial_size += len(part)
        if self._partial_size <= _MAX_BYTES:
            self._partial += part
        else:
            self._partial.clear()

    def _end_line(self, found: list[Finding], ended_by: int = 1) -> None:
        line, size = bytes(self._partial), self._partial_size
        self._partial.clear()
        self._partial_size = 0
        self._offset += size + ended_by
        self._line += 1
        plain = self._plain(line, self._line)
        size -= len(line) - len(plain)
        if self._block is None and size > _MAX_BYTES:
            found.append(BadLine(self._line, f"is longer than {_MAX_BYTES} bytes"))
        else:
            self._read(plain, size, self._line, found)
        if self._block is None:
            self._mark = Mark(self._offset, self._line)

    @staticmethod
    def _plain(line: bytes, number: int) -> bytes:
        """Without what programs of other systems add: a carriage return, and a mark at the beginning."""
        return line.removesuffix(b"\r").removeprefix(_BOM if number == 1 else b"")

    def _read(self, line: bytes, size: int, number: int, found: list[Finding]) -> None:
        if self._block is None:
            match _read_statement(line, number):
                case None:
                    pass
                case _Opening() as opening:
                    self._block = _Block(opening, number)
                case finding:
                    found.append(finding)
        elif line == self._block.opening.delimiter and size == len(line):
            found.append(_close(self._block))
            self._block = None
        else:
            self._block.take(line, size)

    def _replay(self, block: _Block, found: list[Finding]) -> None:
        """Read the lines behind an opening that has no end as statements: only the opening was bad.

        Openings among them that have no end either are known beforehand, so each line is looked at once.
        """
        last = {line: index for index, line in enumerate(block.held)}
        for index, line in enumerate(block.held):
            number = block.line + 1 + index
            statement = _read_statement(line, number) if self._block is None else None
            if isinstance(statement, _Opening) and last.get(statement.delimiter, -1) <= index:
                found.append(_unended(number))
            else:
                self._read(line, len(line), number, found)

    def _bounded(self, found: Sequence[Finding]) -> list[Finding]:
        """Tell of the first bad lines only: a file that is no output file at all must not flood the log."""
        kept: list[Finding] = []
        for finding in found:
            if isinstance(finding, BadLine):
                self._reports += 1
                if self._reports == _MAX_REPORTS:
                    kept.append(
                        BadLine(finding.line, "is bad, as too many were; further ones are not reported")
                    )
                if self._reports >= _MAX_REPORTS:
                    continue
            kept.append(finding)
        return kept


def _read_statement(line: bytes, number: int) -> Assign | BadLine | _Opening | None:
    """One line outside of a block; None for an empty one. Whichever of `=` and `<<` comes first decides."""
    if not line.strip():
        return None
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return BadLine(number, "is not UTF-8")
    equals, opens = text.find("="), text.find("<<")
    if opens >= 0 and (equals < 0 or opens < equals):
        key, delimiter = text[:opens], text[opens + 2 :]
        if not delimiter:
            return BadLine(number, "has no delimiter after <<")
        return _bad_key(key, number) or _Opening(key, delimiter.encode())
    if equals < 0:
        return BadLine(number, "is neither key=value nor key<<DELIMITER")
    return _bad_key(text[:equals], number) or _checked(text[:equals], text[equals + 1 :], number)


def _close(block: _Block) -> Assign | BadLine:
    if block.size > _MAX_BYTES:
        return _too_long(block.line)
    try:
        value = b"\n".join(block.held).decode()
    except UnicodeDecodeError:
        return BadLine(block.line, "begins a value that is not UTF-8")
    return _checked(block.opening.key, value, block.line)


def _checked(key: str, value: str, number: int) -> Assign | BadLine:
    if "\0" in value:
        return BadLine(number, "has a NUL byte in its value; write text, in UTF-8")
    return Assign(key, value) if len(value) <= MAX_VALUE else _too_long(number)


def _too_long(number: int) -> BadLine:
    return BadLine(number, f"has a value of more than {MAX_VALUE} characters")


def _bad_key(key: str, number: int) -> BadLine | None:
    if not key:
        return BadLine(number, "has no key")
    if len(key) > MAX_KEY:
        return BadLine(number, f"has a key of more than {MAX_KEY} characters")
    if "\0" in key:
        return BadLine(number, "has a NUL byte in its key; write text, in UTF-8")
    if key.split()[:1] == ["export"] and key != "export":
        return BadLine(number, "begins with export, which is for shells only; write key=value alone")
    if any(map(str.isspace, key)):
        return BadLine(number, "has blanks in its key; write key=value or key<<DELIMITER, a key without any")
    return None


def _unended(number: int) -> BadLine:
    return BadLine(number, "begins a value of several lines, and no later line is its delimiter")
