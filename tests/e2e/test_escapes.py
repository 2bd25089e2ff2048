"""The escape corpus over the whole program: no survivor, and no word before that (rules 3.7 and 3.9)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import Stage, automations, phase_of, service_yaml, task_yaml
from tests.support.escapes import ESCAPES, Escape, living
from tests.support.machines import lacking
from tests.support.processes import Process, wait_until

CGROUPS = next(
    (
        Path(line.split()[1])
        for line in Path("/proc/mounts").read_text().splitlines()
        if line.split()[2] == "cgroup2"
    ),
    None,
)


def _stop_while_watching(stage: Stage, escape: Escape, pids: Path) -> list[Process]:
    """Stop the service; what was alive at the moment it was told to be STOPPED."""
    service_id = stage.id_of(escape.name)
    agent = stage.agent
    agent.stop_service(service_id)
    alive: list[Process] = []

    def over() -> bool:
        if phase_of(agent.get_service(service_id)) in {"STOPPED", "FAILED"}:
            alive.extend(living(pids))
            return True
        return False

    wait_until(over, 25, f"{escape.name} is stopped")
    return alive


@pytest.mark.timeout(120)
@pytest.mark.parametrize("cgroup", [False, True], ids=["subtree", "cgroup"])
def test_services_of_every_kind_leave_nothing(cgroup: bool) -> None:
    """STOPPED is never reported before the tree is empty, with and without a cgroup."""
    environment = {"RUNNER_AGENT_SERVICE_STOP_GRACE": "1"}
    home = Path()
    if cgroup:
        if CGROUPS is None:
            lacking("no cgroup version 2 hierarchy is mounted here")
        home = CGROUPS / f"runner-agent-test.{id(environment)}"
        try:
            home.mkdir()
        except OSError as error:
            lacking(f"no right to make a cgroup here: {error}")
        environment["RUNNER_AGENT_CGROUP"] = str(home)
    try:
        with staged(**environment) as stage:
            folder = stage.daemon.base / "pids"
            folder.mkdir()
            ours = [one for one in ESCAPES if not one.leader_ends]
            stage.start(
                file=automations(
                    services=tuple(service_yaml(one.name, one.script(folder / one.name)) for one in ours)
                )
            )
            for one in ours:
                stage.agent.start_service(stage.id_of(one.name))
            noted = {one.name: one.noted(folder / one.name, 20) for one in ours}
            assert all(noted.values())
            if cgroup:
                assert any(path.is_dir() for path in home.iterdir()), "each run has a cgroup of its own"

            def stopped(one: Escape) -> list[Process]:
                return _stop_while_watching(stage, one, folder / one.name)

            with ThreadPoolExecutor(len(ours)) as pool:
                alive = dict(
                    zip(
                        (one.name for one in ours),
                        pool.map(stopped, ours),
                        strict=True,
                    )
                )
            assert {name: left for name, left in alive.items() if left} == {}
            assert {
                name: left for name, found in noted.items() if (left := [one for one in found if one.alive])
            } == {}
    finally:
        if cgroup:
            wait_until(
                lambda: not any(path.is_dir() for path in home.iterdir()), 5, "run cgroups are removed"
            )
            home.rmdir()


@pytest.mark.timeout(120)
def test_tasks_and_leftovers_of_every_kind_leave_nothing() -> None:
    """Rules 4.6 and 4.7: also where the leader ends by itself and the children stay."""
    with staged(RUNNER_AGENT_TASK_STOP_GRACE="1") as stage:
        folder = stage.daemon.base / "pids"
        folder.mkdir()
        stage.start(
            file=automations(
                tasks=tuple(task_yaml(one.name, one.script(folder / one.name)) for one in ESCAPES)
            )
        )
        executions = {one.name: stage.agent.start_task(stage.id_of(one.name))["id"] for one in ESCAPES}
        for one in ESCAPES:
            one.noted(folder / one.name, 20)
            stage.agent.stop_execution(executions[one.name])
        for one in ESCAPES:
            stage.await_execution(executions[one.name], 25)
            assert living(folder / one.name) == [], one.name


def test_agent_stop_leaves_nothing_of_any_escape() -> None:
    """Rule 7.1, over the whole corpus at once."""
    with staged(RUNNER_AGENT_SERVICE_STOP_GRACE="1") as stage:
        folder = stage.daemon.base / "pids"
        folder.mkdir()
        ours = [one for one in ESCAPES if not one.leader_ends]
        stage.start(
            file=automations(
                services=tuple(service_yaml(one.name, one.script(folder / one.name)) for one in ours)
            )
        )
        for one in ours:
            stage.agent.start_service(stage.id_of(one.name))
        for one in ours:
            one.noted(folder / one.name, 20)
        assert stage.daemon.terminate() == 0
        assert {one.name: left for one in ours if (left := living(folder / one.name))} == {}
        assert stage.daemon.survivors() == []
