"""/metrics: lawful text, and counters that count."""

import re
from collections.abc import AsyncGenerator

import pytest

from runner_agent.core.facts import RunGone, Spawned, SurvivorsSeen
from runner_agent.daemon.metrics import Metrics, RunFigures
from runner_agent.executors.usage import Usage
from runner_agent.model.ids import Instant, RunId
from runner_agent.model.phases import ExecutionPhase, RunRole
from runner_agent.model.runs import Ending, Exited, Handle, Lost, NotStarted, Signaled
from runner_agent.store.base import Transaction
from runner_agent.store.memory import MemoryStore
from tests.support.records import a_running_service, a_service, an_execution

RUN = RunId("r")
SAMPLE = re.compile(r"(runner_agent_\w+)(?:\{(\w+=\"[^\"\n]*\"(?:,\w+=\"[^\"\n]*\")*)\})? (-?[0-9.e+]+)")


@pytest.fixture
async def metrics() -> AsyncGenerator[Metrics]:
    store = MemoryStore()

    def change(tx: Transaction) -> None:
        tx.put(a_running_service())
        tx.put(a_service("service-2", reference="api"))
        tx.put(an_execution(phase=ExecutionPhase.RUNNING))

    await store.write(change, durable=False)
    yield Metrics(store, lambda: 17)
    await store.aclose()


def samples(metrics: Metrics) -> dict[tuple[str, str], float]:
    """By name and labels."""
    found: dict[tuple[str, str], float] = {}
    for line in metrics.text().decode().splitlines():
        if not line.startswith("#"):
            sample = SAMPLE.fullmatch(line)
            assert sample is not None, line
            found[sample[1], sample[2] or ""] = float(sample[3])
    return found


def test_the_state_is_told_by_phase(metrics: Metrics) -> None:
    told = samples(metrics)
    assert told["runner_agent_services", 'phase="RUNNING"'] == 1
    assert told["runner_agent_services", 'phase="STOPPED"'] == 1
    assert told["runner_agent_services", 'phase="FAILED"'] == 0
    assert told["runner_agent_executions", 'phase="RUNNING"'] == 1
    assert told["runner_agent_store_commits_total", ""] == 17
    assert told["runner_agent_store_revision", ""] == 3
    assert told["runner_agent_resident_memory_bytes", ""] > 10**6
    assert told["runner_agent_cpu_seconds_total", ""] > 0


def test_every_family_says_what_it_is(metrics: Metrics) -> None:
    lines = metrics.text().decode().splitlines()
    names = {name for name, _ in samples(metrics)}
    for name in names:
        assert any(line.startswith(f"# HELP {name} ") for line in lines)
        assert any(re.fullmatch(f"# TYPE {name} (counter|gauge)", line) for line in lines)
        assert name.endswith("_total") == (f"# TYPE {name} counter" in lines)
    assert metrics.text().endswith(b"\n")


def test_calls_are_counted_by_method_and_code(metrics: Metrics) -> None:
    metrics.count_call("/gitpod.v1.EnvironmentAutomationService/GetService", "ok")
    metrics.count_call("/gitpod.v1.EnvironmentAutomationService/GetService", "ok")
    metrics.count_call("/gitpod.v1.EnvironmentAutomationService/GetService", "not_found")
    told = samples(metrics)
    assert told["runner_agent_api_calls_total", 'method="GetService",code="ok"'] == 2
    assert told["runner_agent_api_calls_total", 'method="GetService",code="not_found"'] == 1


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        (Exited(0), "ok"),
        (Exited(3), "exit"),
        (Signaled(9), "signal"),
        (NotStarted("no shell"), "not_started"),
        (Lost("?"), "lost"),
    ],
)
def test_runs_are_counted_by_role_and_ending(metrics: Metrics, ending: Ending, how: str) -> None:
    metrics.count_fact(Spawned(RunRole.TASK, RUN, Instant(1.0), Handle("machine", RUN)))
    metrics.count_fact(SurvivorsSeen(()))
    metrics.count_fact(RunGone(RunRole.TASK, RUN, Instant(2.0), ending))
    told = samples(metrics)
    assert told["runner_agent_runs_started_total", 'role="task"'] == 1
    assert told["runner_agent_runs_ended_total", f'role="task",ending="{how}"'] == 1


def test_runs_with_cgroups_are_told_one_by_one_and_those_of_one_name_together(metrics: Metrics) -> None:
    """What the kernel counts of a run; none of it where there are no cgroups."""
    web = RunFigures("web", "start", Usage(1.5, 4096, 3, (), 8192, 1 << 20, 0, 1, 0.25))
    build = RunFigures("build", "task", Usage(2.0, 10, 1))
    text = metrics.text([web, build, build]).decode()
    assert 'runner_agent_run_memory_bytes{reference="web",role="start"} 4096' in text
    assert 'runner_agent_run_memory_peak_bytes{reference="web",role="start"} 8192' in text
    assert 'runner_agent_run_oom_kills_total{reference="web",role="start"} 1' in text
    assert 'runner_agent_run_cpu_seconds_total{reference="build",role="task"} 4' in text
    assert "_run_" not in metrics.text().decode().replace("_runs_", "")


async def test_a_run_without_a_cgroup_is_not_among_them(metrics: Metrics) -> None:
    assert b"runner_agent_run_memory" not in await metrics.tell()
