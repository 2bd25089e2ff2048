"""Records that lie: reused pids, another boot. What cannot be verified is never signalled."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runner_agent.executors.machine import MachineExecutor, MachineSettings
from runner_agent.kit.clock import SystemClock
from runner_agent.model.ids import BootMark, RunId
from runner_agent.model.runs import Ended, Handle, Live, Lost, Proc
from runner_agent.reconcile.reboot import LAST_BOOT
from runner_agent.store.base import Transaction
from runner_agent.store.sqlite import SqliteStore
from tests.e2e.stage import Stage, automations, phase_of, service_yaml, task_yaml
from tests.support.processes import Process, end, look, tied_to, wait_until

pytestmark = pytest.mark.faults

ELSEWHERE = BootMark("00000000-1111-4222-8333-444444444444/1")
DEAF = "trap '' TERM; touch up.$RUNNER_AGENT_REFERENCE; exec sleep 600"
FILE = automations(
    services=(service_yaml("served", DEAF, more="triggeredBy: [postMachineStart]"),),
    tasks=(task_yaml("worked", DEAF), task_yaml("after", "true", more="dependsOn: [worked]")),
)
Forge = Callable[[Mapping[str, str | int]], Mapping[str, str | int]]


@contextmanager
def stranger(noted: Path) -> Generator[Process]:
    """A process of somebody else, which notes every signal that can be noted. RT signals and KILL end it."""
    script = r"""for s in TERM HUP INT QUIT USR1 USR2 CONT; do trap "echo $s >> '$0'" $s; done
touch "$0"
while :; do read -t 60 _ <> <(:); done"""
    process = subprocess.Popen(
        ["bash", "-c", script, str(noted)], stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_until(noted.exists, 5)
        found = look(process.pid)
        assert found is not None
        yield found
    finally:
        process.kill()
        process.wait()


def forge_records(stage: Stage, forge: Forge, boot: BootMark | None) -> None:
    """Rewrite the handles of all runs, in the store and in the run folders, while the agent is away."""

    def handle(one: Handle) -> Handle:
        return replace(one, data=forge(one.data))

    def proc(one: Proc) -> Proc:
        match one:
            case Live() | Ended():
                return replace(one, handle=handle(one.handle))
            case _:
                return one

    def change(tx: Transaction) -> None:
        for service in tx.services():
            if (run := service.run) is not None:
                run = replace(
                    run,
                    boot=boot or run.boot,
                    start=proc(run.start),
                    ready=proc(run.ready),
                    stop=proc(run.stop),
                )
                tx.put(replace(service, run=run))
        for step in tx.live_steps():
            if step.run is not None:
                tx.put(
                    replace(step, run=replace(step.run, boot=boot or step.run.boot, proc=proc(step.run.proc)))
                )
        for execution in tx.live_executions():
            tx.put(replace(execution, boot=boot or execution.boot))
        for firing in tx.firings(limit=100):
            tx.put(replace(firing, boot=boot or firing.boot))

    async def rewrite() -> None:
        store = SqliteStore(stage.state / "agent.db", SystemClock().wall)
        await store.write(change, durable=True)
        if boot is not None:
            await store.set_meta(LAST_BOOT, boot)
        await store.aclose()

    asyncio.run(rewrite())
    for path in (stage.state / "runs").glob("*/spawned"):
        known: dict[str, str | int] = {}
        for line in path.read_text().splitlines():
            known |= json.loads(line)
        path.write_text(json.dumps(forge(known)) + "\n")


def up(stage: Stage) -> str:
    """Both run; the id of the execution. Neither obeys SIGTERM."""
    stage.daemon.environment["RUNNER_AGENT_SERVICE_STOP_GRACE"] = "2"
    stage.start(file=FILE)
    execution = stage.agent.start_task(stage.id_of("after"))["id"]
    stage.await_phase("served", "RUNNING")
    wait_until(
        lambda: (stage.workspace / "up.worked").exists() and (stage.workspace / "up.served").exists(), 5
    )
    return execution


def power_loss(stage: Stage) -> None:
    """Agent, launcher, holders and commands die at once."""
    stage.daemon.sigkill()
    wait_until(lambda: not _ended(stage), 10, "everything is dead")


def _ended(stage: Stage) -> list[Process]:
    left = tied_to(stage.daemon.base)
    end(left)
    return left


def test_reused_pids_are_never_signalled(stage: Stage) -> None:
    """Same boot, same pid, another start time: the run is lost, and a stranger has its number."""
    execution = up(stage)
    power_loss(stage)
    noted = stage.daemon.base / "noted"
    with stranger(noted) as innocent:
        forge_records(
            stage,
            lambda data: {
                **data,
                "holder_pid": innocent.pid,
                "leader_pid": innocent.pid,
                "holder_start": innocent.started - 1,
                "leader_start": innocent.started - 1,
            },
            None,
        )
        stage.start()
        ended = stage.await_execution(execution)
        served = stage.await_phase("served", "FAILED", "STOPPED")
        stage.agent.stop_service(stage.id_of("served"))
        stage.agent.start_service(stage.id_of("served"))
        stage.await_phase("served", "RUNNING")
        assert stage.daemon.terminate() == 0
        assert innocent.alive
        assert noted.read_text() == ""
    assert phase_of(ended) == "FAILED"
    assert "supervisor lost" in ended.get("status", {}).get("failureMessage", "")
    assert "supervisor lost" in served.get("status", {}).get("failureMessage", "")


def test_a_thousand_fabricated_handles_signal_nobody(scratch: Path) -> None:
    """Every verb of the machine executor, for every way a record can be stale."""

    async def provoke(innocent: Process) -> None:
        executor = MachineExecutor(MachineSettings(scratch, scratch))
        here = SystemClock().boot_mark()
        for number in range(250):
            for boot, started in (
                (here, innocent.started + number + 1),
                (here, innocent.started - number - 1),
                (str(ELSEWHERE), innocent.started),
                ("", innocent.started),
            ):
                folder = scratch / "runs" / f"run-{number}"
                handle = Handle(
                    "machine",
                    RunId(f"run-{number}"),
                    {
                        "run_id": f"run-{number}",
                        "dir": str(folder),
                        "boot": boot,
                        "cgroup": "",
                        "holder_pid": innocent.pid,
                        "holder_start": started,
                        "leader_pid": innocent.pid,
                        "leader_start": started,
                    },
                )
                await executor.terminate(handle)
                await executor.kill(handle)
                await executor.linger(handle, on=True)
                await executor.linger(handle, on=False)
                told = await executor.wait_ended(handle)
                assert isinstance(told, Lost), (handle, told)
                assert "supervisor lost" in told.reason
                await executor.wait_empty(handle)
                assert await executor.survivors(handle) == ()
        await executor.aclose()

    noted = scratch / "noted"
    with stranger(noted) as innocent:
        asyncio.run(provoke(innocent))
        assert innocent.alive
        assert noted.read_text() == ""


def test_a_reboot_ends_every_run_and_replays_nothing(stage: Stage) -> None:
    """Rule 6.6: services STOPPED, executions FAILED with "the machine restarted"; triggers fire anew."""
    execution = up(stage)
    power_loss(stage)
    for path in stage.workspace.glob("up.*"):
        path.unlink()
    forge_records(stage, lambda data: {**data, "boot": str(ELSEWHERE)}, ELSEWHERE)
    stage.write_file(
        'services:\n  served:\n    name: served\n    commands: {start: "touch again; exec sleep 600"}\n'
    )
    stage.start()
    ended = stage.await_execution(execution)
    assert phase_of(ended) == "FAILED"
    assert "the machine restarted" in ended.get("status", {}).get("failureMessage", "")
    assert stage.phase("served") in ("STOPPED", "RUNNING")
    fired = list(stage.agent.firings())
    assert [one.get("event") for one in fired].count("postMachineStart") == 2
    assert not (stage.workspace / "up.worked").exists()
    stage.daemon.terminate()
    assert list((stage.state / "runs").iterdir()) == []


def test_processes_of_another_boot_are_not_touched(stage: Stage) -> None:
    """Same pid, same start time, other boot: it cannot be what it was, so it is a stranger."""
    execution = up(stage)
    stage.daemon.sigkill()
    before = [one for one in tied_to(stage.daemon.base) if one.name == "sleep"]
    assert len(before) == 2
    forge_records(stage, lambda data: {**data, "boot": str(ELSEWHERE)}, ELSEWHERE)
    stage.start()
    assert phase_of(stage.await_execution(execution)) == "FAILED"
    assert all(one.alive for one in before)
    stage.daemon.process.send_signal(signal.SIGTERM)
    assert stage.daemon.process.wait(60) == 0
    assert all(one.alive for one in before), "not signalled by the stop either"
    end(tied_to(stage.daemon.base))
    wait_until(lambda: not tied_to(stage.daemon.base), 5)
