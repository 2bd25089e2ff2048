"""Every failpoint in every scene, and then every promise of rule 7.2 is checked.

As a program it makes what the report does not hold yet, one JSON line each:

    python -m tests.faults.failpoint_trial --report bench/results/trials/failpoints.jsonl
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runner_agent.client.errors import ClientError
from tests.e2e.conftest import staged
from tests.faults import failpoints
from tests.faults.failpoint_scenes import PATIENCE, SCENES, Play, Scene
from tests.faults.trial import Witness

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from tests.e2e.stage import Stage

SIDE_BY_SIDE = 4
"""Agents at once: a trial waits half of its time."""
SLOW = 0.1
"""Seconds: longer than what the agent does in one go."""
BY_NAME = {scene.name: scene for scene in SCENES}


@dataclass(frozen=True, slots=True)
class Case:
    """One scene, with one thing that goes wrong in it, or several that meet; `act` "" is nothing."""

    scene: str
    act: str = ""

    @property
    def point(self) -> str:
        """Where."""
        return self.act.partition("=")[0]

    @property
    def forgiving(self) -> bool:
        """A run may be lost, if it is told: who kills its holder does that, and who refuses a write."""
        roles, acts = failpoints.points(), [failpoints.Act(one) for one in self.act.split(",") if one]
        killed = [act for act in acts if act.kind == "die" and roles[act.point] in ("holder", "nursery")]
        return bool(killed) or "=error" in self.act


@dataclass
class Verdict:
    """One line of the report. `wrong` is empty if all promises were kept."""

    scene: str
    act: str
    fired: bool = False
    seconds: float = 0.0
    date: str = ""
    lost: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])


@contextmanager
def _prepared(case: Case) -> Generator[Stage]:
    scene = BY_NAME[case.scene]
    with staged(RUNNER_AGENT_TASK_STOP_GRACE="1", **dict(scene.settings)) as stage:
        stage.daemon.environment |= {
            failpoints.HITS: str(stage.daemon.base / "hits"),
            failpoints.PLAN: ",".join(filter(None, (scene.before, case.act))),
        }
        stage.daemon.program = (sys.executable, failpoints.__file__)
        stage.write_file(scene.file)
        yield stage


def reached(stage: Stage) -> Counter[str]:
    """How often each point was."""
    path = stage.daemon.base / "hits"
    return Counter(path.read_text().split() if path.exists() else [])


def make_trial(case: Case) -> Verdict:
    """One agent, one fault, and a verdict."""
    verdict, began = Verdict(case.scene, case.act, date=datetime.now(UTC).isoformat()), time.monotonic()
    with _prepared(case) as stage:
        witness = Witness(stage)
        play = Play(stage, witness, case.forgiving)
        try:
            _act(BY_NAME[case.scene], play)
        except (AssertionError, ClientError, OSError, KeyError) as error:
            verdict.wrong.append(f"{type(error).__name__}: {error}")
        verdict.wrong += witness.wrong
        verdict.lost = play.lost
        try:
            verdict.wrong += _end(stage)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            verdict.wrong.append(f"it does not stop: {error}")
        acts, hits = [failpoints.Act(one) for one in case.act.split(",") if one], reached(stage)
        verdict.fired = bool(acts) and all(hits[act.point] >= act.number for act in acts)
        if verdict.wrong:
            verdict.wrong.append(stage.daemon.stderr)
        if not stage.daemon.running:
            (stage.daemon.base / "stderr").write_text("")  # what it said is in the verdict
    verdict.seconds = round(time.monotonic() - began, 2)
    return verdict


def _act(scene: Scene, play: Play) -> None:
    play.revive()
    scene.play(play)
    play.asked(lambda _: play.witness.look())


def _end(stage: Stage) -> list[str]:
    """An orderly stop, after which nothing is left. An agent that is killed in the midst is started again."""
    wrong: list[str] = []
    if _stop(stage) != 0 and (code := _stop(stage)) != 0:
        wrong.append(f"the stop ended with {code}")
    wrong += [f"leaked: {one}" for one in stage.daemon.survivors()]
    wrong += [
        f"left in {path.parent.name}: {path.name}"
        for folder in ("runs", "outputs")
        for path in stage.state.glob(f"{folder}/*")
    ]
    if "Traceback" in stage.daemon.stderr:
        wrong.append("a traceback")
    return wrong


def _stop(stage: Stage) -> int:
    if not stage.daemon.running:
        stage.daemon.spawn()
        stage.daemon.wait_ready(PATIENCE)
    return stage.daemon.terminate(PATIENCE)


def rehearse(scene: Scene) -> tuple[Counter[str], Counter[str]]:
    """Where a scene comes by: until it is played, and until the agent has stopped. Raises AssertionError."""
    with _prepared(Case(scene.name)) as stage:
        _act(scene, Play(stage, Witness(stage), forgiving=False))
        played = reached(stage)
        wrong = _end(stage)
        assert not wrong, f"{scene.name}: {wrong}"
        return played, reached(stage)


def cases(known: dict[str, tuple[Counter[str], Counter[str]]]) -> Iterator[Case]:
    """All there are, by what the rehearsals came by: what every start does is tried in `boot` alone, and of
    many times the first and the middle one are tried. Each point is slow once.
    """
    boot, whole = known["boot"]
    slow = set[str]()
    for scene, (played, _) in known.items():
        first = Counter[str]() if scene == "boot" else boot
        there = whole if scene == "boot" else played
        for point in failpoints.points():
            fresh = there[point] - first[point]
            numbers = {first[point] + 1, first[point] + (fresh + 1) // 2} if fresh > 0 else set[int]()
            for number in sorted(numbers):
                yield Case(scene, f"{point}=die@{number}")
            if not numbers:
                continue
            for error in failpoints.errors().get(point, ()):
                yield Case(scene, f"{point}=error:{error}@{min(numbers)}")
            if point not in slow:
                slow.add(point)
                yield Case(scene, f"{point}=delay:{SLOW}@{min(numbers)}")


def rehearse_all(scenes: Iterable[Scene] = SCENES) -> dict[str, tuple[Counter[str], Counter[str]]]:
    """Each scene without a fault."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return dict(zip((one.name for one in scenes), pool.map(rehearse, scenes), strict=True))


def make_trials(some: Iterable[Case], side_by_side: int = SIDE_BY_SIDE) -> Iterator[Verdict]:
    """Some agents at a time, their verdicts in the order of the cases."""
    with ThreadPoolExecutor(side_by_side) as pool:
        yield from pool.map(make_trial, some)


def main() -> int:
    """What the report does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=SIDE_BY_SIDE, help="at a time")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--report", type=Path, required=True, help="gets a JSON line for each case")
    options = parser.parse_args()
    report: Path = options.report
    lines = report.read_text().splitlines() if report.exists() else []
    done = {(one["scene"], one["act"]) for one in map(json.loads, lines)}
    todo = [
        case
        for case in cases(rehearse_all())
        if (case.scene, case.act) not in done and options.only in f"{case.scene} {case.act}"
    ]
    bad = 0
    for verdict in make_trials(todo, options.agents):
        with report.open("a") as file:
            file.write(json.dumps(asdict(verdict)) + "\n")
        bad += bool(verdict.wrong)
        print(verdict.scene, verdict.act, verdict.lost, *(verdict.wrong or ["kept"]), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
