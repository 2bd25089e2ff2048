"""Very many needles, spread out in memory that all who look for them share: only how each begins.

A secret of 64 KiB has ten thousand disguises, some of them longer than itself, and every run has to look for
them. So the agent writes down once how each begins, and whose it is: in a file without a name, in numbers
that a holder looks at where they lie. A holder makes the disguises of a secret only when one may have begun
in what its command writes, which for most secrets and most commands is never.
"""

import marshal
import mmap
import os
import sys
from array import array
from bisect import bisect_left, bisect_right
from functools import lru_cache

from runner_agent.launcher.disguises import disguises
from runner_agent.launcher.needles import HEAD, heads_in, mask_for, unfit, word_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_KEPT = 256  # secrets whose beginnings are kept, for they are dear to make
_ALIGNED = 8
_PART = 4096


class _Beginnings:
    """Of one secret's disguises: heads as numbers that sort as bytes do, short ones filled up by zeros."""

    __slots__ = ("halves", "heads", "longest", "unfit")

    def __init__(self, needles: set[bytes]) -> None:
        self.longest = max(map(len, needles), default=0)
        self.unfit = unfit(needles)
        self.halves = {needle[: HEAD // 2] for needle in needles if len(needle) < HEAD}
        heads = {int.from_bytes(needle[:HEAD].ljust(HEAD, b"\0"), "big") for needle in needles}
        self.heads = array("Q", heads)  # an eighth of what the set takes


@lru_cache(_KEPT)
def _beginnings(secret: bytes) -> _Beginnings:
    return _Beginnings(disguises(secret))


class Spread:
    """Looks for the disguises of many or long secrets."""

    def __init__(self, data: "bytes | mmap.mmap") -> None:
        """`data` is what `pack` made."""
        view = memoryview(data)
        size = int.from_bytes(view[:_ALIGNED], "little")
        told = marshal.loads(view[_ALIGNED : _ALIGNED + size])  # noqa: S302 - the agent dumped it
        self.mask, self.longest, count, halves, self._lengths = told
        at = _ALIGNED + -(-size // _ALIGNED) * _ALIGNED
        self._heads = view[at : at + HEAD * count].cast("Q")
        at += HEAD * count
        self._owners = view[at : at + 4 * count].cast("I")
        self._secrets = view[at + -(-4 * count // _ALIGNED) * _ALIGNED :]
        self._words: frozenset[int] | None = None  # made when there is something to look through
        self._halves = frozenset(map(word_of, halves))
        self._known: dict[bytes, list[bytes]] = {}  # needles by head
        self._made: set[int] = set()  # whose are in there
        self._begun: list[tuple[int, bytes]] = []  # in what was looked at and not let go
        self._found: list[tuple[int, int]] = []

    @classmethod
    def of(cls, secrets: "Iterable[bytes]") -> "Spread":
        """For these."""
        return cls(pack(tuple(secrets)))

    def look(self, text: bytes, known: int, *, last: bool) -> tuple[list[tuple[int, int]], int]:
        """As `Few.look`. What was looked at is not looked at again: a secret may come line by line."""
        if not known:  # nothing was left
            self._begun, self._found = [], []
        size = len(text)
        begun: list[tuple[int, bytes]] = []
        for at, needle in self._begun:
            if text.startswith(needle[known - at : size - at], known):
                self._sort_in(at, needle, size, begun)
        for at, needle in self._starts(text, max(0, known - HEAD + 1)):
            if text.startswith(needle[: size - at], at):
                self._sort_in(at, needle, size, begun)
        end = size if last else self._end(text, begun)
        self._begun = begun
        if not end:  # of what is found, all comes later
            return [], 0
        found = sorted(self._found)
        self._begun = [(at - end, needle) for at, needle in begun]
        self._found = [(start - end, stop - end) for start, stop in found if start >= end]
        return found, end

    def _end(self, text: bytes, begun: list[tuple[int, bytes]]) -> int:
        size = len(text)
        end = min((at for at, _ in begun), default=size)
        for count in range(min(HEAD - 1, size), 0, -1):
            if self._begins_with(text[size - count :]):
                return min(end, size - count)
        return end

    def _sort_in(self, at: int, needle: bytes, size: int, begun: list[tuple[int, bytes]]) -> None:
        """As far as the text goes, the needle stands there."""
        if at + len(needle) <= size:
            self._found.append((at, at + len(needle)))
        else:
            begun.append((at, needle))

    def _starts(self, text: bytes, start: int) -> "Iterable[tuple[int, bytes]]":
        """Where needles may start, from there on, by their heads."""
        if not self._may_be_in(text[start:]):
            return
        # What is full of secrets is looked through in small parts: there, few needles may be in each.
        for first in range(start, len(text), _PART):
            last = first + _PART + HEAD - 1
            for needles in self._may_be_in(text[first:last]):
                head = needles[0][: _head_size(needles[0])]
                at = text.find(head, first, first + _PART + len(head) - 1)
                while at >= 0:
                    for needle in needles:
                        yield at, needle
                    at = text.find(head, at + 1, first + _PART + len(head) - 1)

    def _begins_with(self, some: bytes) -> bool:
        """Does a needle that is longer than this?"""
        number, rest = int.from_bytes(some.ljust(HEAD, b"\0"), "big"), 8 * (HEAD - len(some))
        at = bisect_right(self._heads, number)  # not those that are this and no more
        return at < len(self._heads) and self._heads[at] >> rest == number >> rest

    def _may_be_in(self, text: bytes) -> "list[list[bytes]]":
        """Needles by their common head, of which each stands in the text."""
        if self._words is None:
            self._words = self._as_words()
        heads = list(heads_in(text, self._words))
        if self._halves:
            heads += heads_in(text, self._halves, "I")
        return [needles for head in heads if (needles := self._needles(head))]

    def _as_words(self) -> "frozenset[int]":
        """The heads as views of a text show them."""
        heads = array("Q", self._heads.tobytes())
        if sys.byteorder == "little":
            heads.byteswap()
        return frozenset(heads)

    def _needles(self, head: bytes) -> list[bytes]:
        """Those that begin so, made if they were not needed before."""
        low = int.from_bytes(head.ljust(HEAD, b"\0"), "big")
        high = int.from_bytes(head.ljust(HEAD, b"\xff"), "big")
        for at in range(bisect_left(self._heads, low), bisect_right(self._heads, high)):
            if self._owners[at] not in self._made:
                self._make(self._owners[at])
        return self._known.get(head, [])

    def _make(self, owner: int) -> None:
        self._made.add(owner)
        at = sum(self._lengths[:owner])
        for needle in disguises(bytes(self._secrets[at : at + self._lengths[owner]])):
            head = needle[: _head_size(needle)]
            self._known.setdefault(head, []).append(needle)


def _head_size(needle: bytes) -> int:
    return HEAD if len(needle) >= HEAD else HEAD // 2


def pack(secrets: "tuple[bytes, ...]") -> bytes:
    """What a `Spread` is made of: what it knows first, beginnings in order, whose they are, secrets."""
    every = [_beginnings(secret) for secret in secrets]
    pairs = sorted((head, owner) for owner, one in enumerate(every) for head in one.heads)
    bits = 0
    for one in every:
        bits |= one.unfit
    longest = max((one.longest for one in every), default=0)
    halves = set[bytes]().union(*(one.halves for one in every))
    told = marshal.dumps((mask_for(bits), longest, len(pairs), tuple(halves), tuple(map(len, secrets))))
    heads = array("Q", [head for head, _ in pairs]).tobytes()
    owners = array("I", [owner for _, owner in pairs]).tobytes()
    size = len(told).to_bytes(_ALIGNED, "little")
    return b"".join((size, _filled(told), heads, _filled(owners), *secrets))


def _filled(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // _ALIGNED) * _ALIGNED, b"\0")


def share(secrets: "tuple[bytes, ...]") -> int:
    """A descriptor of a file without a name that holds it. Raises OSError."""
    memory = os.memfd_create("secrets")
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(pack(secrets))
    except OSError:
        os.close(memory)
        raise
    return memory


def shared(memory: int) -> Spread:
    """What was shared; the descriptor may be closed then. Raises OSError."""
    return Spread(mmap.mmap(memory, 0, access=mmap.ACCESS_READ))
