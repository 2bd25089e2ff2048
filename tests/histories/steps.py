"""Histories as data: which steps there are, drawn by a seed, played, and made shorter where they fail.

A history is drawn before it is played, so that its seed alone brings it back, whatever it met.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tests.histories.hands import Hands
from tests.histories.scripts import READIES, STARTS, STOPS, TASKS, TIMEOUTS

T = TypeVar("T")
LENGTH = 40
"""Steps of a history, its five definitions not counted."""
SET_ASIDE = 2_500
"""Seeds below this are for tests and mutations, which play the same each time; trials go on from here."""
PAUSES = (0.0, 0.02, 0.5, 0.5, 3.0)
SERVICES, NAMES = ("a", "b", "c"), ("w", "x", "y", "z")
NEEDS = ((), (), ("a",), ("w",), ("w", "x"), ("a", "b", "w"), ("x", "y"))


@dataclass(frozen=True, slots=True)
class Step:
    """One call of `Hands`, "" for none, and the seconds that pass after it."""

    call: str
    given: Mapping[str, Any]
    pause: float

    def play(self, it: Hands) -> None:
        if self.call:
            getattr(it, self.call)(**self.given)
        it.passes(self.pause)

    def __str__(self) -> str:
        """Lines that can be copied into a test that keeps the history."""
        given = ", ".join(f"{name}={value!r}" for name, value in self.given.items())
        return (f"it.{self.call}({given})\n" if self.call else "") + f"it.passes({self.pause})"


History = Sequence[Step]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of step may be given. The first of some values is the simplest."""

    call: str
    given: Mapping[str, Sequence[object]] = field(default_factory=dict[str, Sequence[object]])
    pauses: Sequence[float] = PAUSES

    def some(self, dice: random.Random) -> Kind:
        """One that is choosy: histories that do not do everything go deeper into what they do."""
        given = {name: some(dice, values) for name, values in self.given.items()}
        return Kind(self.call, given, some(dice, self.pauses))

    def step(self, dice: random.Random) -> Step:
        given = {name: dice.choice(values) for name, values in self.given.items()}
        return Step(self.call, given, dice.choice(self.pauses))


SERVICE: Mapping[str, Sequence[object]] = {
    "name": SERVICES,
    "start": STARTS,
    "ready": READIES,
    "stop": STOPS,
    "timeout": TIMEOUTS,
}
KINDS = (
    Kind("service", {**SERVICE, "by": ("create", "create and start", "file", "update")}),
    Kind("task", {"name": NAMES, "command": TASKS, "needs": NEEDS, "by": ("create", "file", "update")}),
    Kind("start", {"name": SERVICES}),
    Kind("restart", {"name": SERVICES}),
    Kind("stop", {"name": SERVICES}),
    Kind("delete", {"name": SERVICES, "force": (False, True)}),
    Kind("delete_task", {"name": NAMES}),
    Kind("run_task", {"name": NAMES}),
    Kind("stop_execution", {"index": range(4)}),
    Kind("fire", {"once": ("", "", "k"), "event": (1, 0)}),
    Kind("", pauses=(0.1, 1.0, 2.0, 5.0, 11.0, 80.0)),
    Kind("", pauses=(11.0, 45.0, 119.0, 120.0, 121.0, 140.0)),
    Kind("dies", {"after": range(26)}),
    Kind("returns"),
    Kind("launcher", {"reachable": (True, False)}),
    Kind("disk", {"full": (False, True)}),
    Kind("recovers"),
    Kind("late", {"seconds": (0.0, 0.02)}, (0.0,)),
    Kind("loses_holder", {"index": range(4)}),
    Kind("command_ends", {"index": range(4), "code": (0, 0, 1, -11)}),
    Kind("reboots", pauses=(0.5,)),
    Kind("goes_down", {"now": (False, True)}, (0.5,)),
)
DEFINITIONS = (
    *(Kind("service", {**SERVICE, "name": (name,)}, (0.0,)) for name in "ab"),
    *(
        Kind("task", {"name": (name,), "command": TASKS, "needs": (needs,)}, (0.0,))
        for name, needs in (("w", ()), ("x", ("a", "w")), ("y", ("w", "x", "b")))
    ),
)
"""What each history begins with."""
RARE = ("reboots", "goes_down")
"""Of which a history has few: each ends most of what the others have begun."""


def some(dice: random.Random, values: Sequence[T]) -> Sequence[T]:
    """As often as not all of them, else fewer."""
    count = len(values) if dice.random() < 0.5 else dice.randint(1, len(values))
    return [values[index] for index in sorted(dice.sample(range(len(values)), count))]


def drawn(seed: int) -> History:
    """The history of this seed, the same on every Python."""
    dice = random.Random(seed)
    kinds = [kind.some(dice) for kind in some(dice, KINDS)] + [Kind("start", {"name": SERVICES})]
    weights = [0.25 if kind.call in RARE else 1.0 for kind in kinds]
    chosen = dice.choices(kinds, weights, k=LENGTH)
    return [kind.step(dice) for kind in (*DEFINITIONS, *chosen)]


def play(history: History) -> None:
    """Raises AssertionError for what is against the rules, or whatever else goes wrong."""
    with closing(Hands()) as it:
        for step in history:
            step.play(it)
        it.comes_to_rest()


def fault(history: History) -> str:
    """What is wrong with it, in a line; "" if nothing is."""
    try:
        play(history)
    except Exception as error:  # noqa: BLE001  whatever it is, it is what was looked for
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


# --- shorter


def shorter(
    history: History, *, seconds: float, fault_of: Callable[[History], str] = fault
) -> Sequence[Step]:
    """A history with the same fault and fewer, simpler steps, as far as one comes in so many seconds."""
    until, kind = time.monotonic() + seconds, _kind_of(fault_of(history))

    def fails(tried: History) -> bool:
        return time.monotonic() < until and _kind_of(fault_of(tried)) == kind

    return _simpler(_without(list(history), fails), fails)


def _kind_of(said: str) -> str:
    """The first fault told, whatever it befell and whenever."""
    return re.sub(r"\b([abcwxyz]|[0-9a-f-]{36}|[0-9.]+)\b", "_", said.partition("', ")[0])


def _without(history: list[Step], fails: Callable[[History], bool]) -> list[Step]:
    """Long pieces are left out first."""
    size = len(history) // 2
    while size:
        at = 0
        while at < len(history):
            rest = history[:at] + history[at + size :]
            if fails(rest):
                history = rest
            else:
                at += size
        size //= 2
    return history


def _simpler(history: list[Step], fails: Callable[[History], bool]) -> list[Step]:
    """The first value of each that does as well."""
    for at, step in enumerate(history):
        for kind in KINDS:
            if kind.call != step.call:
                continue
            for tried in _alternatives(step, kind):
                if fails([*history[:at], tried(history[at]), *history[at + 1 :]]):
                    history[at] = tried(history[at])
    return history


def _alternatives(step: Step, kind: Kind) -> list[Callable[[Step], Step]]:
    def with_value(name: str, value: object) -> Callable[[Step], Step]:
        return lambda one: replace(one, given={**one.given, name: value})

    found = [
        with_value(name, values[0])
        for name, values in kind.given.items()
        if name != "name" and step.given.get(name, values[0]) != values[0]
    ]
    if step.call and step.pause:
        found.append(lambda one: replace(one, pause=0.0))
    return found
