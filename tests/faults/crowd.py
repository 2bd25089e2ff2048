"""Some clients of a crowd, in a process of their own: wishes and questions at random, or timed questions.

python -m tests.faults.crowd clients SOCKET SECONDS SEED COUNT
python -m tests.faults.crowd reader SOCKET SECONDS SEED CONNECTION

What they found is one line of JSON. A hundred clients in one process would wait for one another rather than
for the agent; and whoever times an answer must have nothing else to do.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import islice
from typing import TYPE_CHECKING, Any

from runner_agent.client.addresses import Endpoint, UnixAddress
from runner_agent.client.agent import Agent
from runner_agent.client.errors import ApiError, ClientError
from runner_agent.client.transport import Transport
from runner_agent.client.watch import watching
from tests.e2e.stage import phase_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner_agent.client.messages import Execution, Service, ServiceCommands

SERVICES = 12
REFUSALS = frozenset({"not_found", "failed_precondition", "already_exists"})
"""What a client may be told when another was quicker."""
RANKS = {"STARTING": 1, "RUNNING": 2, "STOPPING": 3, "STOPPED": 4, "FAILED": 4}
STEPS = {"PENDING": 0, "RUNNING": 1, "SUCCEEDED": 2, "FAILED": 2, "STOPPED": 2}
UNFINISHED = ["TASK_EXECUTION_PHASE_PENDING", "TASK_EXECUTION_PHASE_RUNNING"]
PACE = 0.04
"""Seconds between two timed questions of one reader: it is to see the load, not to be it."""
NOBODY = "00000000-0000-4000-8000-000000000000"
AUTOMATION = "gitpod.v1.EnvironmentAutomationService"
SCRIPTS = (
    ("sleep 600", "", ""),
    ("trap 'exit 3' TERM; sleep 600 & wait", "true", ""),
    ("sleep 0.5; exit 1", "", ""),
    ("sleep 600", "sleep 0.1; test $RANDOM -gt 9000", "true"),
)


@dataclass(slots=True)
class Findings:
    """What some clients tell of their life."""

    wrong: list[str] = field(default_factory=list[str])
    calls: Counter[str] = field(default_factory=Counter[str])
    reads: list[float] = field(default_factory=list[float])
    events: int = 0

    def told(self) -> str:
        """One line."""
        seconds = time.process_time()
        return json.dumps(
            {
                "wrong": self.wrong,
                "calls": self.calls,
                "reads": self.reads,
                "events": self.events,
                "cpu": seconds,
            }
        )


class Client:
    """One of them: wishes at random, and trusts nothing it is shown."""

    def __init__(self, agent: Agent, until: float, chance: random.Random, found: Findings) -> None:
        self._agent, self._until, self._random, self._found = agent, until, chance, found
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
        while time.monotonic() < self._until:
            deed = self._random.choice(deeds)
            self._found.calls[deed.__name__] += 1
            try:
                deed()
            except ApiError as error:
                self._found.calls[error.code] += 1
                if error.code not in REFUSALS:
                    self._found.wrong.append(f"{deed.__name__}: {error.code}: {error}")
            except Exception as error:  # noqa: BLE001  whatever it is, it is found
                self._found.wrong.append(f"{deed.__name__}: {error!r}")
            time.sleep(self._random.uniform(0.0, 1.0))

    # --- reads

    def _read(self) -> None:
        match self._random.randrange(3):
            case 0:
                for service in self._agent.services():
                    self._see_service(service)
            case 1:
                self._see_service(self._agent.get_service(self._some_service()))
            case _:
                for execution in islice(self._agent.executions(), 100):
                    self._see_execution(execution)

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
            self._found.wrong.append(f"{id_} shows the phase {phase!r}")
        elif ranks[phase] < self._ranks.get(key, 0) or version < self._versions.get(id_, 0):
            self._found.wrong.append(f"{id_} goes back to {phase}, version {version}")
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
        """As our own command line finds what it can stop."""
        live = [one["id"] for one in self._agent.executions({"phases": UNFINISHED})]
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


def clients(path: str, seconds: float, seed: int, count: int) -> Findings:
    """So many, and one more that watches. Each call has a connection of its own, as our command line has."""
    agent = Agent(Transport(Endpoint(UnixAddress(path))))
    until, found = time.monotonic() + seconds, Findings()

    def watch() -> None:
        with suppress(ClientError, TimeoutError), watching(agent.transport) as events:
            while time.monotonic() < until:
                events.next(5)
                found.events += 1

    lives = [Client(agent, until, random.Random(seed * 1000 + number), found).live for number in range(count)]
    threads = [threading.Thread(target=live, daemon=True) for live in lives]
    for thread in (*threads, threading.Thread(target=watch, daemon=True)):
        thread.start()
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0) + 120)
    found.wrong += [f"{thread.name} hangs" for thread in threads if thread.is_alive()]
    return found


def reader(path: str, seconds: float, seed: int, *, keep: bool) -> Findings:
    """One that asks what people ask, all services, one of them, the latest executions, and times each answer:
    from before it is asked until the last byte is here. `keep` its connection, or begin with connecting.
    """
    chance, until, found = random.Random(seed), time.monotonic() + seconds, Findings()
    ids = [NOBODY]
    page = {"pagination": {"pageSize": 100}}
    http = _connection(path)
    while time.monotonic() < until:
        method, message = chance.choice(
            (("ListServices", page), ("GetService", {"id": chance.choice(ids)}), ("ListTaskExecutions", page))
        )
        if not keep:
            http.close()
            http = _connection(path)
        begun = time.perf_counter()
        http.request(
            "POST", f"/{AUTOMATION}/{method}", json.dumps(message), {"Content-Type": "application/json"}
        )
        answer = http.getresponse()
        body = answer.read()
        found.reads.append(time.perf_counter() - begun)
        found.calls[method] += 1
        told: dict[str, Any] = json.loads(body)
        if answer.status != 200 and told["code"] not in REFUSALS:
            found.wrong.append(f"{method}: {told}")
        if method == "ListServices":
            ids = [service["id"] for service in told.get("services", ())] or [NOBODY]
        time.sleep(PACE)
    http.close()
    return found


class _Unix(HTTPConnection):
    """Connects when something is first asked, so that this is timed too."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def _connection(path: str) -> HTTPConnection:
    return _Unix(path)


def main() -> None:
    what, path, seconds, seed, more = sys.argv[1:]
    if what == "clients":
        found = clients(path, float(seconds), int(seed), int(more))
    else:
        found = reader(path, float(seconds), int(seed), keep=more == "kept")
    print(found.told())


if __name__ == "__main__":
    main()
