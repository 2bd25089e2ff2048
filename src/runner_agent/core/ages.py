"""How old things are, told without the time of day: the agent counts how long it has been at work, and notes
at which revision it had counted how far (rule 4.9).

The time of day may be stepped by years. CLOCK_MONOTONIC cannot, but begins anew with each boot; what lies
between two boots nobody has measured, and it is not counted. So an age is never told too great.
"""

from collections.abc import Iterator
from dataclasses import replace

from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import BootMark, Instant, Version

PARTS = 30
"""Into how many parts an age is divided by marks: by one of these it may be told too small."""


@dataclass(frozen=True, slots=True)
class Mark:
    """All that has a revision up to this was there when so many seconds had been counted."""

    revision: Version
    counted: float


@dataclass(frozen=True, slots=True)
class Count:
    """Seconds counted up to `at`, an instant of `boot`, and the marks made on the way, oldest first."""

    boot: BootMark
    at: Instant
    counted: float = 0.0
    marks: tuple[Mark, ...] = ()


def count_on(before: Count | None, revision: Version, boot: BootMark, now: Instant, age: float) -> Count:
    """The count as of now. `age`: seconds, the one that will be asked for."""
    if before is None:
        return Count(boot, now, marks=(Mark(revision, 0.0),))
    passed = max(0.0, now - before.at) if boot == before.boot else 0.0
    after = replace(before, boot=boot, at=now, counted=before.counted + passed)
    marks = tuple(_still_of_use(after, age))
    if not marks or after.counted - marks[-1].counted >= age / PARTS:
        marks = (*marks, Mark(revision, after.counted))
    return replace(after, marks=marks)


def older_than(age: float, count: Count) -> Version:
    """What has this revision or a lesser one is older than `age` seconds. 0: nothing is."""
    return max(
        (mark.revision for mark in count.marks if count.counted - mark.counted > age), default=Version(0)
    )


def worth_writing(before: Count | None, after: Count, age: float) -> bool:
    """What would be lost if the machine restarted now is more than next to nothing."""
    return (
        before is None or before.boot != after.boot or after.counted - before.counted >= age / PARTS / PARTS
    )


def _still_of_use(count: Count, age: float) -> Iterator[Mark]:
    """Of the marks that are old enough the newest says all."""
    newest = older_than(age, count)
    return (mark for mark in count.marks if mark.revision >= newest)
