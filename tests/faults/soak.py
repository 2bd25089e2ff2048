"""Hours of work in one agent, and what grows meanwhile: memory, descriptors, files, the database.

    python -m tests.faults.soak --minutes 60 --report bench/results/soak.jsonl

Each line of the report is one sample, or, at the end of each run of the program, the verdict: the slope of
each figure by least squares after the warm-up. Started again it adds another stretch.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from runner_agent.client.errors import AgentUnreachable, ApiError
from tests.e2e.conftest import staged
from tests.e2e.stage import FINISHED, Stage, automations, phase_of, service_yaml, task_yaml
from tests.support.processes import everything, wait_until

FILE = automations(
    services=tuple(
        service_yaml(f"s{number}", "while :; do echo tick; sleep 0.5; done", ready="true", stop=stop)
        for number, stop in enumerate(("", "true", "", "sleep 0.1"))
    ),
    tasks=(
        task_yaml("quick", "echo done; echo k=v >> $GITPOD_OUTPUT"),
        task_yaml("fails", "echo no; exit 3"),
        task_yaml("after", "true", more="dependsOn: [quick, s0]"),
    ),
)
KEPT = "5"
"""Finished executions kept per task, so that the database has its size early."""
PATIENCE = 120.0
WARM_UP = 0.4
"""The part of the samples that is left out of the slope."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The agent at one moment; sizes in kilobytes. `lives`: agents so far, killed ones included."""

    at: float
    steps: int
    lives: int
    daemon_rss: int
    launcher_rss: int
    daemon_fds: int
    launcher_fds: int
    files: int
    database: int
    log: int


MEASURED = ("daemon_rss", "launcher_rss", "daemon_fds", "launcher_fds", "files", "database")


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line with the least squares; 0 for fewer than two points."""
    if len(points) < 2:
        return 0.0
    x = sum(at for at, _ in points) / len(points)
    y = sum(value for _, value in points) / len(points)
    spread = sum((at - x) ** 2 for at, _ in points)
    return sum((at - x) * (value - y) for at, value in points) / spread if spread else 0.0


def growth(samples: Sequence[Sample]) -> dict[str, float]:
    """Per 1,000 steps, after the warm-up."""
    return {name: round(1000 * slope(points(samples, name)), 3) for name in MEASURED}


def grown(samples: Sequence[Sample]) -> dict[str, float]:
    """In all that was looked at: what a line through the figures has risen by from its first to its last."""
    seen = {name: points(samples, name) for name in MEASURED}
    return {name: round(slope(of) * (of[-1][0] - of[0][0]), 3) for name, of in seen.items()}


def points(samples: Sequence[Sample], name: str) -> list[tuple[float, float]]:
    """A figure by the steps done so far, after the warm-up.

    What begins anew with each agent is compared within the last life. What is tidied up when an agent starts
    is compared from life to life, each at its beginning.
    """
    last = [one for one in samples if one.lives == samples[-1].lives]
    firsts = list({one.lives: one for one in reversed(samples)}.values())[::-1]
    kept = last if name.startswith("daemon") else firsts
    return [(one.steps, getattr(one, name)) for one in kept[int(len(kept) * WARM_UP) :]]


class Soak:
    """Works and measures."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage, self._random = stage, random.Random(seed)
        self._began = time.monotonic()
        self.steps, self.lives = 0, 1

    def work(self) -> None:
        """One round: some tasks to their ends, a service up or down."""
        agent = self._stage.agent
        begun = [agent.start_task(self._stage.id_of(name))["id"] for name in ("quick", "fails", "after")]
        service = self._stage.id_of(f"s{self._random.randrange(4)}")
        with suppress(ApiError):
            (agent.start_service if self._random.random() < 0.6 else agent.stop_service)(service)
        for id_ in begun:
            wait_until(lambda id_=id_: phase_of(agent.get_execution(id_)) in FINISHED, PATIENCE)  # type: ignore[misc]
        self.steps += len(begun) + 1

    def kill(self) -> None:
        """The agent dies in the middle of a round."""
        with suppress(AgentUnreachable):
            self._stage.agent.start_task(self._stage.id_of("quick"))
        self._stage.daemon.sigkill()
        self._stage.daemon.spawn()
        self._stage.daemon.wait_ready(PATIENCE)
        self.lives += 1

    def sample(self) -> Sample:
        state = self._stage.state
        daemon, launcher = self._stage.daemon.process.pid, self._launcher()
        # walk() passes over what vanishes meanwhile, as folders of runs do
        files = [Path(folder, name) for folder, _, names in os.walk(state) for name in names]
        database = _size(state / "agent.db")
        return Sample(
            at=round(time.monotonic() - self._began, 1),
            steps=self.steps,
            lives=self.lives,
            daemon_rss=_rss(daemon),
            launcher_rss=_rss(launcher),
            daemon_fds=_descriptors(daemon),
            launcher_fds=_descriptors(launcher),
            files=len(files),
            database=database // 1024,
            log=sum(_size(path) for path in files if "logs" in path.parts) // 1024,
        )

    def _launcher(self) -> int:
        state = str(self._stage.state).encode()
        found = [
            one.pid
            for one in everything()
            if one.name == "ra-launcher" and state in _read(Path(f"/proc/{one.pid}/cmdline"))
        ]
        assert len(found) == 1, found
        return found[0]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _rss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def soak(
    seconds: float,
    seed: int,
    *,
    kill_every: float,
    least: int = 0,
    tell: Callable[[Sample], None] = lambda _: None,
) -> list[Sample]:
    """Work for so long, and until `least` steps are done; the samples, taken while no execution is under way.

    The last half is one life's.
    """
    samples: list[Sample] = []
    with staged(RUNNER_AGENT_EXECUTIONS_KEPT=KEPT) as stage:
        stage.write_file(FILE)
        stage.daemon.spawn()
        stage.daemon.wait_ready(PATIENCE)
        it, began = Soak(stage, seed), time.monotonic()
        next_kill, next_sample = began + kill_every, began
        while (now := time.monotonic()) < began + seconds or it.steps < least:
            it.work()
            if now >= next_kill and now < began + seconds / 2:
                it.kill()
                it.work()
                next_kill, next_sample = now + kill_every, now
            if now >= next_sample:
                samples.append(it.sample())
                tell(samples[-1])
                next_sample = now + max(seconds / 200, 0.5)
        samples.append(it.sample())
        stage.daemon.terminate(PATIENCE)
        assert stage.daemon.survivors() == []
    return samples


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--kill-every", type=float, default=60.0, help="seconds")
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()
    stretch = options.report.read_text().count('"growth"') + 1 if options.report.exists() else 1
    with options.report.open("a", buffering=1) as file:

        def tell(sample: Sample) -> None:
            file.write(json.dumps({"stretch": stretch, **asdict(sample)}) + "\n")

        samples = soak(options.minutes * 60, stretch, kill_every=options.kill_every, tell=tell)
        last = samples[-1]
        verdict = {"stretch": stretch, "steps": last.steps, "lives": last.lives, "seconds": last.at}
        file.write(json.dumps({**verdict, "growth": growth(samples)}) + "\n")
    print(verdict, growth(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
