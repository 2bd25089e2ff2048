"""An agent that dies, or finds its disk full, at any point where it meets the world (rules 7.2, 7.4, 6.6).

Each scenario is played undisturbed, which gives its outcome and the number of points; then again with a blow
at a point, followed by another agent over the same store and the same world. The outcome must be the same.
A part of the points is tried here, all of them under the mark `heavy`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from runner_agent.kit import virtual
from runner_agent.model.phases import ServicePhase
from tests.reconcile.scenarios import SCENARIOS, Scenario, outcome
from tests.support.world import Scene, scene

PATIENCE = 3000.0
"""Virtual seconds after which a scenario will never end."""
QUIET = 20.0
"""Virtual seconds after which all that is still to be cleared away is."""


@dataclass(frozen=True)
class Trial:
    """How a scenario is disturbed. `late`: seconds a start request lies in a buffer."""

    kill_at: int = -1
    away: float = 0.0
    late: float = 0.0
    refuse: Callable[[int], bool] = lambda number: False
    reboot: bool = False


@dataclass(frozen=True)
class Played:
    """What came of it."""

    points: list[str]
    writes: int
    outcome: dict[str, object]
    after_reboot: list[str]


def play(scenario: Scenario, folder: Path, trial: Trial) -> Played:
    return virtual.run(_play(scenario, folder, trial))


async def _play(scenario: Scenario, folder: Path, trial: Trial) -> Played:
    async with scene(folder, agent=False) as it:
        it.strikes.kill_at, it.strikes.refuse = trial.kill_at, trial.refuse
        it.world.start_takes = trial.late
        await it.agent()
        playing = asyncio.ensure_future(scenario(it))
        replacing = asyncio.ensure_future(_replace(it, trial, playing))
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(playing, PATIENCE)
        await asyncio.sleep(trial.away + QUIET)
        replacing.cancel()
        rebooted = [entry.what for entry in it.world.transcript]
        rebooted = rebooted[rebooted.index("reboot") :] if "reboot" in rebooted else []
        return Played(it.strikes.trail, it.strikes.writes, outcome(it), rebooted)


async def _replace(it: Scene, trial: Trial, playing: asyncio.Future[None]) -> None:
    """A supervisor that starts another agent when one has fallen."""
    while True:
        agent = it.agents[-1]
        await agent.life.fallen.wait()
        await agent.dies()
        if trial.reboot:
            playing.cancel()
            it.world.reboot()
            it.clock.reboot(it.clock.now())
            it.world.say("reboot")
        await asyncio.sleep(trial.away)
        await it.agent()


Folders = Callable[[], Path]


@pytest.fixture
def new_folder(tmp_path: Path) -> Folders:
    def made() -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return folder

    return made


def check_deaths(scenario: Scenario, new_folder: Folders, *, every: int, away: float, late: float) -> None:
    calm = play(scenario, new_folder(), Trial(late=late))
    for point in range(0, len(calm.points), every):
        played = play(scenario, new_folder(), Trial(kill_at=point, away=away, late=late))
        told = f"killed {point}: {calm.points[point]}, away {away} s"
        if away and played.outcome["begun"] == [] != calm.outcome["begun"]:
            check_never_begun(played, calm, told)
        else:
            assert played.outcome == calm.outcome, told


def check_never_begun(played: Played, calm: Played, told: str) -> None:
    """Rule 3.4: the limit counts from the wish, so that a start that had not begun until then never does."""
    differ = {key for key in calm.outcome if played.outcome[key] != calm.outcome[key]}
    assert differ == {"begun", "service/service-web"}, told
    phase, message, _ = cast("tuple[object, object, object]", played.outcome["service/service-web"])
    assert (phase, message) == (
        ServicePhase.FAILED,
        "not ready within 7 s; its start command had not begun",
    ), told


def check_refusals(scenario: Scenario, new_folder: Folders, *, every: int, run: int) -> None:
    calm = play(scenario, new_folder(), Trial())
    for first in range(0, calm.writes, every):
        full = range(first, first + run)
        played = play(scenario, new_folder(), Trial(refuse=full.__contains__))
        assert played.outcome == calm.outcome, f"disk full at writes {full}"


def check_reboots(scenario: Scenario, new_folder: Folders, *, every: int) -> None:
    calm = play(scenario, new_folder(), Trial())
    for point in range(0, len(calm.points), every):
        played = play(scenario, new_folder(), Trial(kill_at=point, reboot=True))
        told = f"rebooted at {point}: {calm.points[point]}"
        assert played.after_reboot, told
        started = [line for line in played.after_reboot if line.startswith("start ")]
        assert started == [], f"{told}: nothing is replayed"
        assert played.outcome["left"] == [], told
        assert played.outcome["unfinished"] == [], told


scenarios = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)


@scenarios
def test_an_agent_that_dies_anywhere_is_replaced_by_one_that_goes_on(
    scenario: Scenario, new_folder: Folders
) -> None:
    """Rule 7.2: same outcome, nothing started twice, nothing forgotten; versions only grow (rule 1.5)."""
    check_deaths(scenario, new_folder, every=5, away=0.0, late=0.0)


@scenarios
def test_an_agent_may_be_away_for_longer_than_any_deadline(scenario: Scenario, new_folder: Folders) -> None:
    """Rules 3.8, 7.2: what ended in time meanwhile has ended in time."""
    check_deaths(scenario, new_folder, every=11, away=200.0, late=0.0)


@scenarios
def test_a_start_request_outlives_the_agent_that_sent_it(scenario: Scenario, new_folder: Folders) -> None:
    """Rule 7.2: a request in a buffer is carried out, or never is, but not both."""
    check_deaths(scenario, new_folder, every=9, away=0.01, late=0.02)


@scenarios
@pytest.mark.parametrize("run", [1, 5])
def test_a_full_disk_delays_and_changes_nothing(scenario: Scenario, new_folder: Folders, run: int) -> None:
    """Rule 7.4: runs go on; what could not be written is written later."""
    check_refusals(scenario, new_folder, every=5, run=run)


@scenarios
def test_a_reboot_ends_everything_and_replays_nothing(scenario: Scenario, new_folder: Folders) -> None:
    """Rule 6.6."""
    check_reboots(scenario, new_folder, every=7)


@pytest.mark.heavy
@pytest.mark.timeout(900)
@scenarios
def test_every_point(scenario: Scenario, new_folder: Folders) -> None:
    for away in (0.0, 1.0, 200.0):
        check_deaths(scenario, new_folder, every=1, away=away, late=0.0)
    for away in (0.0, 0.01, 0.03):
        check_deaths(scenario, new_folder, every=1, away=away, late=0.02)
    for run in (1, 2, 3, 5):
        check_refusals(scenario, new_folder, every=1, run=run)
    check_reboots(scenario, new_folder, every=1)


@pytest.mark.parametrize("away", [5.0, 200.0])
@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.heavy)])
def test_wishes_made_while_the_agent_is_away_are_met(new_folder: Folders, away: float, every: int) -> None:
    """Rule 7.2, with 3.6 and 4.6: at any point of the way, all is asked to stop while nobody is there."""
    count = 1
    point = 0
    while point < count:
        count = virtual.run(_stop_while_away(new_folder(), point, away))
        point += every


async def _stop_while_away(folder: Path, point: int, away: float) -> int:
    async with scene(folder, agent=False) as it:
        it.strikes.kill_at = point
        await it.agent()
        await it.service("db", "sleep 1; touch up; sleep infinity", ready="test -e up")
        await it.service("web", "sleep infinity", stop="sleep 2")
        await it.task("install", "trap 'sleep 1; exit 0' TERM; sleep 3")
        await it.task("build", "sleep infinity", "install", "db")
        await it.start("web")
        first, second = await it.execute("build", "install")
        with suppress(TimeoutError):
            async with asyncio.timeout(6):
                await it.agents[-1].life.fallen.wait()
        await it.agents[-1].dies()
        for execution in (first, second):
            await it.stop_execution(execution)
        for service in ("db", "web"):
            await it.stop(service)
        await asyncio.sleep(away)
        it.strikes.kill_at = -1
        await it.agent()
        async with asyncio.timeout(PATIENCE):
            await it.ended(first, second)
            await it.until_phase("db", ServicePhase.STOPPED)
            await it.until_phase("web", ServicePhase.STOPPED)
        await asyncio.sleep(QUIET)
        assert it.orphans() == []
        return len(it.strikes.trail)
