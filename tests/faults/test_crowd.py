"""A hundred clients who do what they like: no deadlock, no illegal phase, no defect, and reads stay quick.

python -m tests.faults.test_crowd --seconds 120
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from runner_agent.client.agent import Agent
from runner_agent.client.errors import ApiError, ClientError
from runner_agent.client.watch import watching
from tests.e2e.conftest import staged
from tests.e2e.stage import FINISHED, Stage, phase_of
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from runner_agent.client.messages import Execution, Service, ServiceCommands

CLIENTS, WATCHERS = 100, 5
SERVICES, TASKS = 12, 6
REFUSALS = frozenset({"not_found", "failed_precondition", "already_exists"})
"""What a client may be told when another was quicker."""
RANKS = {"STARTING": 1, "RUNNING": 2, "STOPPING": 3, "STOPPED": 4, "FAILED": 4}
STEPS = {"PENDING": 0, "RUNNING": 1, "SUCCEEDED": 2, "FAILED": 2, "STOPPED": 2}
GENEROUS = 20.0
"""Seconds that even the slowest read may take where the machine does much else."""
NOBODY = "00000000-0000-4000-8000-000000000000"
SCRIPTS = (
    ("sleep 600", "", ""),
    ("trap 'exit 3' TERM; sleep 600 & wait", "true", ""),
    ("sleep 0.5; exit 1", "", ""),
    ("sleep 600", "sleep 0.1; test $RANDOM -gt 9000", "true"),
)


class Crowd:
    """What the clients share: the agent, the time, and what they have found."""

    def __init__(self, stage: Stage, seconds: float, seed: int) -> None:
        self.stage, self.seed = stage, seed
        self.until = time.monotonic() + seconds
        self.wrong: list[str] = []
        self.reads: list[float] = []
        self.calls: Counter[str] = Counter()
        self.events = 0

    def run(self) -> None:
        threads = [threading.Thread(target=Client(self, number).live) for number in range(CLIENTS)]
        threads += [threading.Thread(target=self._watch, daemon=True) for _ in range(WATCHERS)]
        for thread in threads:
            thread.start()
        for thread in threads[:CLIENTS]:
            thread.join(max(self.until - time.monotonic(), 0) + 120)
        self.wrong += [f"{thread.name} hangs" for thread in threads[:CLIENTS] if thread.is_alive()]

    def _watch(self) -> None:
        with suppress(ClientError, TimeoutError), watching(self.stage.agent.transport) as watch:
            while time.monotonic() < self.until:
                watch.next(5)
                self.events += 1

    def p99(self) -> float:
        """Of reads, in seconds."""
        return statistics.quantiles(self.reads, n=100)[98]

    def told(self) -> dict[str, object]:
        return {
            "seed": self.seed,
            "calls": sum(self.calls.values()),
            "reads": len(self.reads),
            "p50_ms": round(statistics.median(self.reads) * 1000, 1),
            "p99_ms": round(self.p99() * 1000, 1),
            "events": self.events,
            "refused": {code: self.calls[code] for code in sorted(REFUSALS)},
            "wrong": self.wrong,
        }


class Client:
    """One of them: wishes at random, and trusts nothing it is shown."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self._random = random.Random(crowd.seed * 1000 + number)
        self._agent: Agent = crowd.stage.agent
        self._ranks: dict[tuple[str, str], int] = {}
        self._versions: dict[str, int] = {}

    def live(self) -> None:
        deeds = (
            self._read,
            self._read,
            self._read,
            self._start,
            self._stop,
            self._task,
            self._end,
            self._redo,
        )
        while time.monotonic() < self._crowd.until:
            deed = self._random.choice(deeds)
            self._crowd.calls[deed.__name__] += 1
            try:
                deed()
            except ApiError as error:
                self._crowd.calls[error.code] += 1
                if error.code not in REFUSALS:
                    self._crowd.wrong.append(f"{deed.__name__}: {error.code}: {error}")
            except Exception as error:  # noqa: BLE001  whatever it is, it is found
                self._crowd.wrong.append(f"{deed.__name__}: {error!r}")
            time.sleep(self._random.uniform(0.0, 1.0))

    # --- reads, timed

    def _timed(self, read: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            read()
        finally:
            self._crowd.reads.append(time.monotonic() - began)

    def _read(self) -> None:
        def all_services() -> None:
            for service in self._agent.services():
                self._see_service(service)

        def one_service() -> None:
            self._see_service(self._agent.get_service(self._some_service()))

        def executions() -> None:
            for execution in islice(self._agent.executions(), 25):
                self._see_execution(execution)

        self._timed(self._random.choice((all_services, one_service, executions)))

    def _see_service(self, service: Service) -> None:
        status = service.get("status", {})
        self._see(service["id"], str(status.get("session", "")), phase_of(service), RANKS, _version(status))

    def _see_execution(self, execution: Execution) -> None:
        status = execution.get("status", {})
        self._see(execution["id"], "", phase_of(execution) or "PENDING", STEPS, _version(status))

    def _see(self, id_: str, session: str, phase: str, ranks: dict[str, int], version: int) -> None:
        """Within a session a phase only goes forward, and no version goes back (rules 1.5, 3.1, 4.3)."""
        key = (id_, session)
        if phase not in ranks:
            self._crowd.wrong.append(f"{id_} shows the phase {phase!r}")
        elif ranks[phase] < self._ranks.get(key, 0) or version < self._versions.get(id_, 0):
            self._crowd.wrong.append(f"{id_} goes back to {phase}, version {version}")
        self._ranks[key], self._versions[id_] = ranks.get(phase, 0), version

    # --- wishes

    def _some_service(self) -> str:
        return self._one_of([service["id"] for service in self._agent.services()])

    def _some_task(self) -> str:
        return self._one_of([task["id"] for task in self._agent.tasks()])

    def _one_of(self, ids: list[str]) -> str:
        """The crowd may have deleted all for the moment."""
        return self._random.choice(ids) if ids else NOBODY

    def _start(self) -> None:
        self._agent.start_service(self._some_service())

    def _stop(self) -> None:
        self._agent.stop_service(self._some_service())

    def _task(self) -> None:
        self._agent.start_task(self._some_task())

    def _end(self) -> None:
        live = [one["id"] for one in self._agent.executions() if phase_of(one) not in FINISHED]
        if live:
            self._agent.stop_execution(self._random.choice(live))

    def _redo(self) -> None:
        """Delete a service, rename one, or create one that is not there."""
        match self._random.randrange(3):
            case 0:
                self._agent.delete_service(self._some_service(), force=self._random.random() < 0.5)
            case 1:
                self._agent.update_service(
                    self._some_service(), {"metadata": {"name": f"n{time.monotonic()}"}}
                )
            case _:
                create_service(self._agent, self._random.randrange(SERVICES))


def _version(status: Mapping[str, object]) -> int:
    return int(str(status.get("statusVersion", "0")))


def create_service(agent: Agent, number: int) -> None:
    start, ready, stop = SCRIPTS[number % len(SCRIPTS)]
    commands: ServiceCommands = {"start": start, "ready": ready, "stop": stop}
    agent.create_service({"reference": f"s{number}", "name": f"s{number}"}, {"commands": commands})


def populate(agent: Agent) -> None:
    for number in range(SERVICES):
        create_service(agent, number)
    below: list[str] = []
    for number in range(TASKS):
        command = ("true", "sleep 0.3", "exit 1", "sleep 600")[number % 4]
        task = agent.create_task(
            {"reference": f"t{number}", "name": f"t{number}"}, {"command": command}, below[-2:]
        )
        if number % 4 < 2:
            below.append(task["id"])


def bring_to_rest(stage: Stage) -> None:
    """Everything can be stopped, by those who are still heard."""
    agent = stage.agent
    for service in agent.services():
        agent.stop_service(service["id"])
    for execution in agent.executions():
        agent.stop_execution(execution["id"])

    def at_rest() -> bool:
        services = all(phase_of(one) in ("STOPPED", "FAILED") for one in agent.services())
        return services and all(phase_of(one) in FINISHED for one in agent.executions())

    wait_until(at_rest, 120, "all is at rest")


def let_in(seconds: float, seed: int) -> dict[str, object]:
    """A crowd for so long; what it found."""
    with staged() as stage:
        stage.start()
        populate(stage.agent)
        crowd = Crowd(stage, seconds, seed)
        crowd.run()
        bring_to_rest(stage)
        if stage.daemon.terminate(60) != 0:
            crowd.wrong.append("the stop did not end with 0")
        crowd.wrong += [f"left: {one}" for one in stage.daemon.survivors()]
        return crowd.told()


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_a_crowd_of_clients() -> None:
    """Thirty seconds; the figures are told, and on a machine at rest p99 of reads is below 200 ms."""
    told = let_in(30, random.randrange(1 << 30))
    print(told)
    assert told["wrong"] == [], told
    assert float(str(told["p99_ms"])) < GENEROUS * 1000, told
    assert int(str(told["events"])) > 0, told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    told = let_in(options.seconds, options.seed)
    print(json.dumps(told))
    return 1 if told["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
