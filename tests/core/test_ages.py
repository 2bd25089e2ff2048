"""Ages that no step of the time of day can change (rule 4.9), against what has really passed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from runner_agent.core.ages import PARTS, Count, Mark, count_on, older_than, worth_writing
from runner_agent.model.ids import BootMark, Instant, Version

AGE = 300.0
FIRST, SECOND = BootMark("boot-1"), BootMark("boot-2")


def at(seconds: float, revision: int, before: Count | None, boot: BootMark = FIRST) -> Count:
    return count_on(before, Version(revision), boot, Instant(seconds), AGE)


def test_what_there_was_at_the_first_look_is_old_when_the_age_has_passed() -> None:
    count = at(1000, 7, None)
    assert older_than(AGE, at(1000 + AGE, 9, count)) == 0
    assert older_than(AGE, at(1001 + AGE, 9, count)) == 7


def test_what_came_later_is_not_old_with_it() -> None:
    count = at(1200, 9, at(1000, 7, None))
    assert older_than(AGE, at(1400, 12, count)) == 7
    assert older_than(AGE, at(1501, 12, count)) == 9


def test_nothing_is_counted_between_two_boots() -> None:
    count = at(50_000, 9, at(1000, 7, None), SECOND)
    assert (count.counted, older_than(AGE, count)) == (0.0, 0)
    assert older_than(AGE, at(50_000 + AGE + 1, 9, count, SECOND)) == 7


def test_of_marks_that_are_old_enough_the_newest_is_kept() -> None:
    count = at(1000, 1, None)
    for step in range(1, 2000):
        count = at(1000 + step * 10, 1 + step, count)
    assert len(count.marks) <= PARTS + 2


def test_it_is_written_at_times() -> None:
    first = at(1000, 1, None)
    assert worth_writing(None, first, AGE)
    assert not worth_writing(first, at(1000.1, 1, first), AGE)
    assert worth_writing(first, at(1001, 1, first), AGE)
    assert worth_writing(first, at(1, 1, first, SECOND), AGE)


@given(st.lists(st.tuples(st.floats(0.5, 120), st.integers(0, 3), st.booleans(), st.booleans()), max_size=60))
def test_an_age_is_never_told_too_great_nor_much_too_small(
    looks: list[tuple[float, int, bool, bool]],
) -> None:
    """Looks some time apart, with news in between; a boot in which it was not written, and boots."""
    now, revision, boots, real = 1000.0, 0, 0, 0.0
    made: list[tuple[int, float]] = []  # revision, and the real time it was there from
    kept = count = at(now, revision, None)
    for pause, news, reboots, lost in looks:
        if reboots:
            boots, now, real = boots + 1, 5.0, real + 1e6
        for _ in range(news):
            revision += 1
            made.append((revision, real))
        if lost:
            count = kept  # the agent was killed before it wrote the last one
        now, real = now + pause, real + pause
        count = at(now, revision, count, BootMark(f"boot {boots}"))
        kept = count if worth_writing(kept, count, AGE) else kept
        old = older_than(AGE, count)
        assert all(real - since > AGE for one, since in made if one <= old), "too great"
    longest = max((pause for pause, *_ in looks), default=0.0)
    patience = AGE + AGE / PARTS + 2 * longest + 1
    then = at(now + patience, revision + 1, at(now + longest, revision, count, count.boot), count.boot)
    if not count.marks or count.counted - count.marks[-1].counted + longest >= AGE / PARTS:
        assert older_than(AGE, then) >= revision, "too small"


def test_marks_are_data() -> None:
    """What a store holds of another version's making begins anew; of this one's it is read as it was."""
    from runner_agent.store.codec import decoder, encoder

    count = replace(at(1000, 7, None), marks=(Mark(Version(7), 0.0), Mark(Version(10**13), 12.5)))
    assert decoder(Count)(encoder(Count)(count)) == count
