"""What /metrics tells: counted as it happens, or read from the store and the kernel when somebody asks.

The text format is a few lines; a library for it would cost more memory than all our counters ever will.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from runner_agent import __version__
from runner_agent.core.decisions import Action
from runner_agent.core.facts import RunGone, ServiceFact, Spawned
from runner_agent.executors.usage import Usage, counted
from runner_agent.kit.clock import Clock
from runner_agent.model.ids import Reference
from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.records import Key
from runner_agent.model.runs import Ended, Ending, Exited, Handle, Live, Lost, NotStarted, Signaled
from runner_agent.reconcile.machines import Machine, R
from runner_agent.reconcile.notes import Notes
from runner_agent.store.base import FIRST_REVISION, Store

Labels = tuple[tuple[str, str], ...]


class Family(NamedTuple):
    """One metric with all its label values. `kind` is counter or gauge."""

    name: str
    kind: str
    help: str
    samples: Mapping[Labels, float]


class RunFigures(NamedTuple):
    """What the kernel has counted of one run."""

    reference: str
    role: str
    used: Usage


class Metrics:
    """The counters, and the text."""

    def __init__(self, store: Store, commits: Callable[[], int]) -> None:
        """`commits`: transactions of the store so far."""
        self._store, self._commits = store, commits
        self._calls: Counter[tuple[str, str]] = Counter()
        self._started: Counter[str] = Counter()
        self._ended: Counter[tuple[str, str]] = Counter()

    def count_call(self, path: str, code: str) -> None:
        """An answer of the API: the method's path, and `ok` or the code of the error."""
        self._calls[path, code] += 1

    def count_fact(self, fact: ServiceFact) -> None:
        """Something that was written down about a run."""
        match fact:
            case Spawned(role=role):
                self._started[role.value] += 1
            case RunGone(role=role, ending=ending):
                self._ended[role.value, _how(ending)] += 1
            case _:
                pass

    async def tell(self) -> bytes:
        """The text, with the figures of runs that have cgroups. Those are read in a thread."""
        runs = list(_live_runs(self._store))
        used = await asyncio.to_thread(counted, [handle for _, _, handle in runs])
        return self.text(
            RunFigures(reference, role.value, used[handle.run_id])
            for reference, role, handle in runs
            if handle.run_id in used
        )

    def text(self, runs: Iterable[RunFigures] = ()) -> bytes:
        """Prometheus text, version 0.0.4."""
        families = (*self._families(), *_of_runs(tuple(runs)))
        return "".join(line for family in families for line in _lines(family)).encode()

    def _families(self) -> Iterator[Family]:
        yield Family("info", "gauge", "The agent, by its version.", {(("version", __version__),): 1})
        yield Family("services", "gauge", "Services by phase.", self._services())
        yield Family("executions", "gauge", "Executions that have not ended, by phase.", self._executions())
        yield Family(
            "runs_started_total",
            "counter",
            "Commands started, by role.",
            {(("role", role),): count for role, count in self._started.items()},
        )
        yield Family(
            "runs_ended_total",
            "counter",
            "Commands of which nothing is left, by role and how they ended.",
            {(("role", role), ("ending", how)): count for (role, how), count in self._ended.items()},
        )
        yield Family(
            "api_calls_total",
            "counter",
            "Calls answered, by method and code.",
            {
                (("method", path.rpartition("/")[2]), ("code", code)): count
                for (path, code), count in self._calls.items()
            },
        )
        revisions = self._store.revision - FIRST_REVISION
        yield Family("store_revision", "gauge", "The newest revision, less the first.", {(): revisions})
        yield Family("store_commits_total", "counter", "Transactions of the store.", {(): self._commits()})
        yield Family("resident_memory_bytes", "gauge", "Of the agent's process.", {(): _resident()})
        yield Family("cpu_seconds_total", "counter", "Of the agent's process.", {(): sum(os.times()[:2])})

    def _services(self) -> Mapping[Labels, float]:
        counts = Counter(service.status.phase for service in self._store.services())
        return {
            (("phase", phase.value),): counts[phase]
            for phase in ServicePhase
            if phase is not ServicePhase.DELETED
        }

    def _executions(self) -> Mapping[Labels, float]:
        counts = Counter(execution.status.phase.value for execution in self._store.live_executions())
        return {(("phase", phase),): counts[phase] for phase in ("PENDING", "RUNNING")}


def _live_runs(store: Store) -> Iterator[tuple[Reference, RunRole, Handle]]:
    for service in store.services():
        if service.run is not None:
            roles = {
                RunRole.START: service.run.start,
                RunRole.READY: service.run.ready,
                RunRole.STOP: service.run.stop,
            }
            for role, proc in roles.items():
                if isinstance(proc, Live | Ended):
                    yield service.metadata.reference, role, proc.handle
    for step in store.live_steps():
        if step.run is not None and isinstance(step.run.proc, Live | Ended):
            yield step.reference, RunRole.TASK, step.run.proc.handle


def _of_runs(runs: Sequence[RunFigures]) -> Iterator[Family]:
    """Steps of one task may run more than once at a time: then they are told together."""
    for name, kind, help_, of in _RUN_FAMILIES if runs else ():
        samples: dict[Labels, float] = {}
        for run in runs:
            labels = ("reference", run.reference), ("role", run.role)
            samples[labels] = samples.get(labels, 0) + of(run.used)
        yield Family(f"run_{name}", kind, help_, samples)


_RUN_FAMILIES: tuple[tuple[str, str, str, Callable[[Usage], float]], ...] = (
    ("memory_bytes", "gauge", "Less files that nobody used lately.", lambda used: used.memory_bytes),
    ("memory_peak_bytes", "gauge", "Most memory at once, files included.", lambda used: used.memory_peak),
    ("memory_limit_bytes", "gauge", "0 is none.", lambda used: used.memory_max),
    ("cpu_seconds_total", "counter", "Of a run's cgroup.", lambda used: used.cpu_seconds),
    ("cpu_held_back_seconds_total", "counter", "By the limit of processors.", lambda used: used.held_back),
    ("processes", "gauge", "Of a run.", lambda used: used.processes),
    ("oom_kills_total", "counter", "Processes killed for lack of memory.", lambda used: used.oom_kills),
)


class CountedNotes(Notes):
    """Notes whose facts are counted once they stand."""

    def __init__(self, store: Store, clock: Clock, count: Callable[[ServiceFact], None]) -> None:
        super().__init__(store, clock)
        self._count = count

    async def write(
        self, machine: Machine[R], key: Key, *facts: ServiceFact, asked: Action | None = None
    ) -> bool:
        written = await super().write(machine, key, *facts, asked=asked)
        if written:
            for fact in facts:
                self._count(fact)
        return written


def _how(ending: Ending) -> str:
    match ending:
        case Exited(code=code):
            return "ok" if code == 0 else "exit"
        case Signaled():
            return "signal"
        case NotStarted():
            return "not_started"
        case Lost():
            return "lost"


def _lines(family: Family) -> Iterator[str]:
    name = f"runner_agent_{family.name}"
    yield f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n"
    for labels, value in family.samples.items():
        told = ",".join(f'{label}="{text}"' for label, text in labels)  # our own words: nothing to escape
        yield f"{name}{{{told}}} {value:.15g}\n" if told else f"{name} {value:.15g}\n"


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
