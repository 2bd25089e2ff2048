"""Agent, launcher, nursery or holder die, or are refused, right before or after any of their effects: nothing
is lost, doubled, leaked or told wrongly (rules 7.2 to 7.4).
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.faults import failpoints
from tests.faults.failpoint_trial import Case, cases, make_trial, make_trials, rehearse_all

AT_ONCE = 3
IN_CI = 260
"""Of all cases, which are six times as many: each point with what can happen there, then any."""

TAKEN = "launcher.order.after=delay:0.2@1,launcher.order.after=die@1"
"""The launcher dies once a holder has the order."""
MEETING = (
    # The launcher dies with an order that a holder has taken and not claimed; the next one gets it too.
    Case("service", f"holder.claim.before=delay:0.8@1,{TAKEN}"),
    Case("service", f"holder.link.before=delay:0.8@1,{TAKEN}"),
    # The agent dies while its request is on the way: who looks for the run comes first, or second.
    Case("task", "launcher.order.before=delay:1@1,evidence.after=delay:0.1@1,start.before=die@1"),
    Case("task", "holder.claim.after=delay:1@1,start.after=die@1,find.before=die@1"),
    # Dead again while what the first one left is looked through.
    Case("service", "note.after=die@4,find.after=die@1,store.commit.after=die@40"),
    Case("service", "start.after=die@2,launcher.greeted.before=die@2"),
    # The holder dies with its end on record, nobody being there to see it.
    Case("log cap", "holder.ended.after=die@1"),
    Case("log cap", "holder.ended.before=delay:0.2@1,note.after=die@3"),
    # Holder and launcher at once: who is left over is found by the daemon.
    Case("deaf", "holder.terminate.before=die@1,launcher.bury.before=die@1"),
)
"""Faults that meet."""


@pytest.mark.parametrize("role", failpoints.ROLES)
def test_every_point_stands_where_it_says(role: str) -> None:
    """A function that was renamed must be renamed here too."""
    for place, _ in failpoints.ROLES[role].values():
        owner, name = failpoints.find(place)
        assert callable(getattr(owner, name)), place


@pytest.mark.parametrize(
    "text",
    ["", "nowhere.before=die@1", "store.commit.before", "store.commit.before=explode", "anew.exec.after=die"],
)
def test_a_plan_that_names_nothing_is_refused(text: str) -> None:
    """A test that tries nothing would pass."""
    with pytest.raises(ValueError, match="is no failpoint"):
        failpoints.Act(text)


def test_a_plan_is_read() -> None:
    """Point, kind, value, number."""
    act = failpoints.Act("store.commit.before=error:FULL@3")
    assert (act.point, act.kind, act.value, act.number) == ("store.commit.before", "error", "FULL", 3)


def test_some_deaths() -> None:
    """One of each kind of process."""
    some = (
        Case("task", "start.after=die@1"),
        Case("task", "launcher.order.after=die@1"),
        Case("task", "holder.ended.after=die@1"),
    )
    for verdict in make_trials(some, AT_ONCE):
        assert verdict.wrong == [], verdict
        assert verdict.fired, verdict


@pytest.mark.faults
def test_faults_that_meet() -> None:
    """Chosen by hand, for no single fault leads there."""
    assert [verdict for verdict in make_trials(MEETING) if verdict.wrong] == []


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_every_point() -> None:
    """Each death, error and delay at least once, in scenes of chance, and some more."""
    known = rehearse_all()
    everywhere = sum((whole for _, whole in known.values()), Counter[str]())
    assert set(failpoints.points()) - set(everywhere) == set(), "each point is on the way of some scene"
    seed = random.randrange(1 << 32)
    print("seed", seed)
    all_ = list(cases(known))
    verdicts = list(make_trials(choice(all_, random.Random(seed), IN_CI)))
    assert [verdict for verdict in verdicts if verdict.wrong] == []
    assert sum(verdict.fired for verdict in verdicts) > 0.9 * len(verdicts)
    fired = {verdict.act.partition("=")[0] for verdict in verdicts if verdict.fired}
    for point in set(failpoints.points()) - fired:  # two hits that came as one, say
        assert any(make_trial(case).fired for case in all_ if case.point == point), point


def choice(all_: list[Case], chance: random.Random, count: int) -> list[Case]:
    """So many, in any order; each point, and whatever can happen there, is among them."""
    chance.shuffle(all_)
    by_what: dict[str, Case] = {}
    for case in all_:
        by_what.setdefault(case.act.partition("@")[0], case)
    first = list(by_what.values())
    return first + [case for case in all_ if case not in first][: max(0, count - len(first))]
