"""Frozen dataclasses of our own making: in every way as the standard library's."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field, replace
from typing import TYPE_CHECKING

import pytest

from runner_agent.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Ours:
    """One."""

    name: str
    size: int = 3
    parts: list[int] = field(default_factory=list[int])
    secret: str = field(default="", repr=False)
    note: str = field(default="", compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    """The same."""

    name: str
    size: int = 3
    parts: list[int] = field(default_factory=list[int])
    secret: str = field(default="", repr=False)
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two, that can be hashed."""

    left: int
    right: str = "r"

    def both(self) -> str:
        """In short."""
        return f"{self.left}{self.right}"


@dataclass(frozen=True, slots=True)
class Known:
    """Has a hash of its own."""

    one: int
    other: int

    def __hash__(self) -> int:
        return self.one


@dataclass(frozen=True, slots=True)
class Heir(Pair):
    """One more field."""

    more: int = 0


@dataclass(frozen=True, slots=True)
class Empty:
    """None."""


def test_instances_look_alike() -> None:
    both = (Ours("a"), Theirs("a")), (Ours("a", 5, [1], "s", "n"), Theirs("a", 5, [1], "s", "n"))
    for ours, theirs in both:
        assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
        assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
    assert Ours.__match_args__ == Theirs.__match_args__
    assert Ours("a").parts is not Ours("a").parts


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((), {"size": 1}), (("a",), {"nam": "b"}), (("a", 1, (), "", "", "more"), {"note": "n"})],
)
def test_what_is_missing_or_too_much_is_refused(
    arguments: tuple[object, ...], named: dict[str, object]
) -> None:
    with pytest.raises(TypeError, match=r"Ours\.__init__"):
        _made(Ours, *arguments, **named)
    assert _made(Ours, "a") == Ours(name="a")


def _made(define: Callable[..., object], *arguments: object, **named: object) -> object:
    return define(*arguments, **named)


def test_equality_is_by_class_and_compared_fields() -> None:
    assert Pair(1) == Pair(1)
    assert Pair(1) != Pair(2)
    assert Pair(1) != Heir(1)
    assert Heir(1) == Heir(1)
    assert Ours("a", note="x") == Ours("a", note="y")
    assert Ours("a", secret="x") != Ours("a", secret="y")
    assert Empty() == Empty()
    foreign: list[object] = [1, (1, "r"), Theirs("a")]
    assert all(one != Pair(1) for one in foreign)


def test_equal_ones_hash_alike_and_an_own_hash_is_kept() -> None:
    assert hash(Pair(1)) == hash(Pair(1)) == hash((1, "r"))
    assert {Pair(1): "found"}[Pair(1)] == "found"
    assert {Pair(1), Pair(1), Pair(2)} == {Pair(2), Pair(1)}
    assert hash(Known(7, 8)) == 7
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ours("a"))


@pytest.mark.parametrize("one", [Pair(1), Heir(1), Empty()])
def test_nothing_can_be_set_or_deleted(one: object) -> None:
    with pytest.raises((FrozenInstanceError, TypeError)):
        one.left = 2  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(FrozenInstanceError):
        Pair(1).left = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(FrozenInstanceError):
        del Pair(1).left  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("one", [Pair(1, "x"), Heir(1, "y", 2), Ours("a", 1, [2]), Empty()])
def test_replaced_copied_and_pickled_they_stay_what_they_were(one: Pair | Heir | Ours | Empty) -> None:
    assert replace(one) == copy.copy(one) == copy.deepcopy(one) == one
    assert pickle.loads(pickle.dumps(one)) == one


def test_methods_of_the_class_and_patterns_work() -> None:
    match Pair(4, "z"):
        case Pair(left, right):
            assert (left, right) == (4, "z")
    assert Pair(4, "z").both() == replace(Pair(1, "z"), left=4).both() == "4z"
