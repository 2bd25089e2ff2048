"""Finding needles in a stream: where any stands, and where one may have begun that goes on after the end.

Few needles are looked for by `Few`, which knows them all. Very many are looked for by `spread`, which knows
only how each begins, and makes needles when a beginning turns up.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

HEAD = 8
"""Bytes at the beginning of a needle by which it is known: a word."""
_MASKS = (b"***", b"###", b"xxx", b"___", b"...", b"~~~", b"%%%", b"@@@")
_SLICE = 1 << 16  # bytes; what a grid finds in one costs a search of so much. A multiple of all words.
_FIND = 4.0  # nanoseconds a byte, over the length: what looking for one needle in a block costs
_PASS = {8: 5.3, 4: 10.0}  # nanoseconds a byte: what a pass over its words of 8 or 4 bytes costs


class Few:
    """Knows all its needles."""

    def __init__(self, needles: set[bytes]) -> None:
        """None is empty."""
        self.mask = mask_for(unfit(needles))
        self.longest = max(map(len, needles), default=0)
        self._beginnings = {needle[:size] for needle in needles for size in range(1, min(HEAD, len(needle)))}
        self._heads: dict[bytes, list[bytes]] = {}
        for needle in needles:
            self._heads.setdefault(needle[:HEAD], []).append(needle)
        self._words = frozenset(word_of(head) for head in self._heads if len(head) == HEAD)
        long = {needle for needle in needles if len(needle) >= 15}
        short = {needle for needle in needles if 7 <= len(needle) < 15}
        self._grids = [
            grid for grid in (_Grid(long, 8, "Q"), _Grid(short, 4, "I")) if grid.needles and grid.pays
        ]
        self._always = tuple(needles.difference(*(grid.needles for grid in self._grids)))

    def look(self, text: bytes, _: int, *, last: bool) -> tuple[list[tuple[int, int]], int]:
        """Begin and end of each occurrence, by begin; and where what may be the beginning of one begins, the
        text's end if nothing may be or follows. So many bytes of the text are what was left of the one
        before.
        """
        return self._occurrences(text), len(text) if last else self._begun(text)

    def _occurrences(self, text: bytes) -> list[tuple[int, int]]:
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

    def _begun(self, text: bytes) -> int:
        near = text[-self.longest :]
        first = len(text)
        for head in heads_in(near, self._words):
            first = min(first, _begun_by(self._heads[head], text))
        for count in range(min(HEAD - 1, len(text)), 0, -1):
            if text[len(text) - count :] in self._beginnings:
                return min(first, len(text) - count)
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


def word_of(head: bytes) -> int:
    """A head as it shows in a view of a text."""
    return int.from_bytes(head, sys.byteorder)


def heads_in(text: bytes, words: "frozenset[int]", code: "Literal['Q', 'I']" = "Q") -> "Iterable[bytes]":
    """Which of these words stand anywhere in the text."""
    size = HEAD if code == "Q" else HEAD // 2
    view = memoryview(text)
    hits: set[int] = set()
    for shift in range(min(size, len(text) - size + 1)):
        hits |= words.intersection(view[shift : len(text) - (len(text) - shift) % size].cast(code))
    return [word.to_bytes(size, sys.byteorder) for word in hits]


def _begun_by(needles: "Sequence[bytes]", text: bytes) -> int:
    """Where the first of these begins that does not end with the text; the text's end for none.

    All have the same head.
    """
    size = len(text)
    head = needles[0][:HEAD]
    at = text.find(head, max(0, size - max(map(len, needles)) + 1))
    while at >= 0:
        rest = text[at:]
        if any(len(one) > len(rest) and one.startswith(rest) for one in needles):
            return at
        at = text.find(head, at + 1)
    return size


def _find(needle: bytes, text: bytes, at: int, end: int, found: list[tuple[int, int]]) -> None:
    """Add where it stands."""
    size = len(needle)
    while (at := text.find(needle, at, end)) >= 0:
        found.append((at, at + size))
        at += 1


def unfit(needles: "Iterable[bytes]") -> int:
    """Bits of the masks that can come to be part of a needle."""
    ends = {byte for needle in needles for byte in (needle[:1], needle[-1:])}
    bits = 0
    for number, mask in enumerate(_MASKS):
        if mask[:1] in ends or any(mask in needle for needle in needles):
            bits |= 1 << number
    return bits


def mask_for(bits: int) -> bytes:
    """The first mask that is fit."""
    return next((mask for number, mask in enumerate(_MASKS) if not bits >> number & 1), _MASKS[0])
