"""What a run that cannot be started yet waits for, in status and `why` (rule 6.3)."""

from __future__ import annotations

from runner_agent.core import proc, step
from runner_agent.core.explain_service import explain_service
from runner_agent.core.explanation import Present
from runner_agent.core.facts import Promised, Spawned, Waits
from runner_agent.model.ids import BootMark, Instant, RunId
from runner_agent.model.phases import ExecutionPhase, RunRole, ServicePhase
from runner_agent.model.runs import Handle, Starting, StepRun
from tests.support.histories import ServiceStage, a_launch

WORDS = "there is no dev container dev"
AT, BOOT, RUN = Instant(1.0), BootMark("boot"), RunId("r")


def test_a_service_that_waits_says_so_until_it_begins() -> None:
    stage = ServiceStage(a_launch())
    stage.start()
    assert stage.service.run is not None
    start = stage.service.run.start
    assert isinstance(start, Starting)
    stage.fold(Waits(RunRole.START, start.run_id, WORDS))
    assert (stage.phase, stage.message) == (ServicePhase.STARTING, WORDS)
    told = explain_service(stage.service, Present(Instant(stage.now), stage.boot, stage.timing))
    assert told.answer == f"its start command waits: {WORDS}"
    stage.spawned(RunRole.START)
    assert (stage.phase, stage.message) == (ServicePhase.RUNNING, "")


def test_a_step_that_waits_says_so_until_it_begins() -> None:
    run = step.fold(None, Promised(RunRole.TASK, RUN, AT), BOOT, "build")
    run = step.fold(run, Waits(RunRole.TASK, RUN, WORDS), BOOT, "build")
    assert told(run) == (ExecutionPhase.RUNNING, WORDS)
    run = step.fold(run, Spawned(RunRole.TASK, RUN, AT, Handle("x", RUN)), BOOT, "build")
    assert told(run) == (ExecutionPhase.RUNNING, "")


def test_words_about_another_run_are_no_news() -> None:
    waits = Starting(RUN, AT, WORDS)
    assert not proc.expects(waits, Waits(RunRole.TASK, RunId("other"), "else"))
    assert proc.waits(proc.fold(waits, Waits(RunRole.TASK, RUN, ""))) == ""


def told(run: StepRun) -> tuple[ExecutionPhase, str]:
    status = step.view(run)
    assert status is not None
    return status.phase, status.failure_message
