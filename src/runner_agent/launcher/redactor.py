"""Hiding secrets in a stream: every occurrence of every disguise, however the stream is cut (rule 5.6).

What is masked is the union of all occurrences, overlapping ones too, each stretch by one mask: so the result
depends on the text alone and not on how it came. Held is only what may be the beginning of an occurrence.
"""

from runner_agent.launcher.disguises import LEAST, disguises

__all__ = ("LEAST", "Redactor", "redact")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

_MASKS = (b"***", b"###", b"xxx", b"___", b"...", b"~~~", b"%%%", b"@@@")
_HEAD = 8
_SLICE = 1 << 16  # bytes; what a grid finds in one costs a search of so much. A multiple of all words.
_FIND = 4.0  # nanoseconds a byte, over the length: what looking for one needle in a block costs
_PASS = {8: 5.3, 4: 10.0}  # nanoseconds a byte: what a pass over its words of 8 or 4 bytes costs


class Redactor:
    """Masks secrets in one stream."""

    def __init__(self, secrets: "Iterable[bytes]") -> None:
        """Secrets of fewer than LEAST characters are passed over."""
        needles: set[bytes] = set()
        for secret in secrets:
            needles |= disguises(secret)
        self._mask = _mask(needles)
        self._held = b""
        self._masked = 0  # so many bytes at the beginning of what is held are masked already
        self._longest = max(map(len, needles), default=0)
        self._beginnings = {needle[:size] for needle in needles for size in range(1, min(_HEAD, len(needle)))}
        self._heads: dict[bytes, list[bytes]] = {}
        for needle in needles:
            self._heads.setdefault(needle[:_HEAD], []).append(needle)
        long = {needle for needle in needles if len(needle) >= 15}
        short = {needle for needle in needles if 7 <= len(needle) < 15}
        self._grids = [
            grid for grid in (_Grid(long, 8, "Q"), _Grid(short, 4, "I")) if grid.needles and grid.pays
        ]
        self._always = tuple(needles.difference(*(grid.needles for grid in self._grids)))

    def feed(self, data: bytes) -> bytes:
        """What can be shown now."""
        return self._advance(data, last=False)

    def finish(self) -> bytes:
        """The rest: nothing follows."""
        return self._advance(b"", last=True)

    def _advance(self, data: bytes, *, last: bool) -> bytes:
        if not self._longest:
            return data
        text = self._held + data if self._held else data
        end = len(text) if last else self._sure(text)
        shown: list[bytes] = []
        at = self._masked  # all before is told
        for start, stop in self._occurrences(text):
            if start >= end:
                break
            if start >= at:
                shown += (text[at:start], self._mask)
            at = max(at, stop)
        if at < end:
            shown.append(text[at:end])
        self._masked = max(0, at - end)
        self._held = text[end:]
        return b"".join(shown)

    def _occurrences(self, text: bytes) -> list[tuple[int, int]]:
        """Begin and end of each, by begin."""
        found: list[tuple[int, int]] = []
        for needle in self._always:
            if needle in text:
                _find(needle, text, 0, len(text), found)
        for start in range(0, len(text), _SLICE) if self._grids else ():
            part = text[start : start + _SLICE]
            for grid in self._grids:
                for needle in grid.suspects(part):
                    _find(needle, text, max(0, start - len(needle)), start + _SLICE + len(needle), found)
        found.sort()
        return found

    def _sure(self, text: bytes) -> int:
        """Where what may be the beginning of an occurrence begins; the text's end if nothing may be."""
        size = len(text)
        near = text[-self._longest :]
        first = size
        for head in self._heads:
            at = near.find(head) if head in near else -1  # `in` takes half the time
            while at >= 0:
                rest = near[at:]
                if any(len(one) > len(rest) and one.startswith(rest) for one in self._heads[head]):
                    first = min(first, size - len(rest))
                    break
                at = near.find(head, at + 1)
        for count in range(min(_HEAD - 1, size), 0, -1):
            if text[size - count :] in self._beginnings:
                return min(first, size - count)
        return first


class _Grid:
    """Tells in one pass which of many needles may be in a text.

    There are hundreds of disguises and hardly ever an occurrence. Each occurrence, wherever it stands, covers
    one whole word of the text's grid of every `stride`-th word; so many words of each needle as there are
    places on the grid are known, and the pass looks each of the grid's up.
    """

    def __init__(self, needles: set[bytes], size: int, code: "Literal['Q', 'I']") -> None:
        """`size`: bytes of a word, `code`: its format; no needle is shorter than 2 * size - 1."""
        self.needles = needles
        self._size = size
        self._code: Literal["Q", "I"] = code
        self._stride = (min(map(len, needles), default=2 * size - 1) - size + 1) // size
        self.pays = sum(_FIND / len(needle) for needle in needles) > _PASS[size] / self._stride
        places = size * self._stride
        self._words: dict[int, list[bytes]] = {}
        for needle in needles:
            first = (len(needle) - places - size + 1) // 2  # in the middle: beginnings are often the same
            for at in range(first, first + places):
                word = memoryview(needle)[at : at + size].cast(code)[0]
                self._words.setdefault(word, []).append(needle)
        self._known = frozenset(self._words)

    def suspects(self, text: bytes) -> set[bytes]:
        """Needles that may be in it, or reach into it: all that are, and hardly others."""
        words = memoryview(text)[: len(text) // self._size * self._size].cast(self._code)
        hits = self._known.intersection(words[:: self._stride] if self._stride > 1 else words)
        return {needle for word in hits for needle in self._words[word]}


def redact(text: str, secrets: "Iterable[str]") -> str:
    """A whole text."""
    redactor = Redactor([secret.encode("utf-8", "surrogateescape") for secret in secrets])
    data = text.encode("utf-8", "surrogateescape")
    return (redactor.feed(data) + redactor.finish()).decode("utf-8", "surrogateescape")


def _find(needle: bytes, text: bytes, at: int, end: int, found: list[tuple[int, int]]) -> None:
    size = len(needle)
    while (at := text.find(needle, at, end)) >= 0:
        found.append((at, at + size))
        at += 1


def _mask(needles: set[bytes]) -> bytes:
    """One that cannot come to be part of a disguise."""
    for mask in _MASKS:
        char = mask[:1]
        if not any(mask in needle or char in (needle[:1], needle[-1:]) for needle in needles):
            return mask
    return _MASKS[0]
