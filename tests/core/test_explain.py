"""Why things are as they are: each place a service, execution or task can be in has its sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_agent.core.explain import explain_execution, explain_service, explain_task
from runner_agent.core.explanation import Explanation, Present, RunState, pid_of, whole
from runner_agent.core.service import pending
from runner_agent.model.ids import ExecutionId, FiringId, Instant, RunId
from runner_agent.model.phases import ExecutionPhase, RunRole, ServicePhase, Trigger
from runner_agent.model.records import Deletion
from runner_agent.model.runs import Exited, Handle, Idle, Signaled
from runner_agent.model.specs import Cause
from tests.support.histories import NOON, ServiceStage, a_launch, a_task, running, starting
from tests.support.town import Town
from tests.support.wander import wander

if TYPE_CHECKING:
    from collections.abc import Callable

START, READY, STOP = RunRole.START, RunRole.READY, RunRole.STOP


def explained(stage: ServiceStage) -> Explanation:
    return explain_service(stage.service, Present(Instant(stage.now), stage.boot, stage.timing))


def never() -> ServiceStage:
    return ServiceStage(a_launch())


def triggered() -> ServiceStage:
    stage = never()
    metadata = replace(stage.service.metadata, triggered_by=(Trigger.MANUAL, Trigger.POST_ENVIRONMENT_START))
    stage.record = replace(stage.service, metadata=metadata)
    return stage


def probing() -> ServiceStage:
    """The second attempt runs for 3 s; 24 s of the limit are left."""
    stage = starting(ready="probe", timeout=30.0)
    stage.spawned(READY)
    stage.after(2.0)
    stage.gone(Exited(7), READY, "connection refused")
    stage.after(1.0)
    stage.spawned(READY)
    stage.pass_time(3.0)
    return stage


def between_attempts() -> ServiceStage:
    stage = starting(ready="probe")
    stage.spawned(READY)
    stage.gone(Exited(7), READY, "connection refused")
    return stage


def terminated() -> ServiceStage:
    stage = running()
    stage.stop()
    stage.pass_time(5.0)
    return stage


def killed() -> ServiceStage:
    stage = running()
    stage.program(START).shrugs = 9
    stage.stop()
    stage.after(120.0)
    stage.after(1.0)
    return stage


def stopping_by_command() -> ServiceStage:
    stage = running(stop="bye")
    stage.stop()
    stage.spawned(STOP)
    stage.pass_time(10.0)
    return stage


def stopped() -> ServiceStage:
    stage = running()
    stage.stop()
    stage.gone(Signaled(15), START)
    return stage


def restarting() -> ServiceStage:
    stage = terminated()
    stage.start()
    return stage


def deleted() -> ServiceStage:
    stage = running()
    stage.delete()
    return stage


def failed() -> ServiceStage:
    stage = running()
    stage.gone(Exited(3), START)
    return stage


def ended_well() -> ServiceStage:
    stage = running()
    stage.gone(Exited(0), START)
    return stage


def clearing() -> ServiceStage:
    stage = running()
    stage.ended(Exited(0), START)
    return stage


def too_slow() -> ServiceStage:
    stage = starting(ready="probe", timeout=2.0)
    stage.spawned(READY)
    stage.after(2.0)
    return stage


def rebooted() -> ServiceStage:
    stage = running()
    stage.reboot()
    return stage


def agent_stopped() -> ServiceStage:
    """As a service looks after its agent was stopped: the wish is unchanged (rule 7.1)."""
    stage = stopped()
    spec = replace(stage.service.spec, desired_phase=ServicePhase.RUNNING)
    stage.record = replace(stage.service, spec=spec)
    return stage


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (never, "never been started: no trigger starts it"),
        (triggered, "it waits for postEnvironmentStart to be fired"),
        (lambda: starting(ready="probe"), "waiting for `ready` to exit 0: attempt 1 is about to begin"),
        (probing, "waiting for `ready` to exit 0: attempt 2 runs for 3 s"),
        (between_attempts, "attempt 1 exited with code 7; the next begins in 1 s"),
        (running, "its start command runs for 0 s (pid 1); it has no ready command"),
        (lambda: running(ready="probe"), "`ready` succeeded at attempt 1"),
        (terminated, "asked for by bob: SIGTERM was sent 5 s ago, SIGKILL follows in 1 min 55 s"),
        (killed, "SIGKILL was sent 2 times, last 0 s ago"),
        (
            stopping_by_command,
            "its stop command runs for 10 s (pid 1), SIGKILL to both follows in 1 min 50 s",
        ),
        (stopped, "it was stopped, as asked by bob"),
        (
            restarting,
            "a new session was asked for by alice, so this one ends first: SIGTERM was sent 5 s ago",
        ),
        (deleted, "its deletion was asked for by carol: SIGTERM was sent 0 s ago"),
        (failed, "start exited with code 3; it is not started again by itself"),
        (ended_well, "start exited with code 0 by itself"),
        (clearing, "start exited with code 0 by itself; what it left behind is being ended"),
        (too_slow, "being brought down (not ready within 2 s): SIGTERM was sent"),
        (rebooted, "the machine restarted"),
        (agent_stopped, "it was stopped when the agent was"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_answer_for_a_service(make: Callable[[], ServiceStage], answer: str) -> None:
    assert answer in explained(make()).answer


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (probing, "the attempt before exited with code 7; last line: connection refused"),
        (probing, "it is given up in 24 s if it is not ready by then"),
        (between_attempts, "its last line: connection refused"),
        (between_attempts, "it has no readinessTimeout: it may take for ever"),
        (killed, "processes that outlive SIGKILL: 4711 (sleep); still trying"),
        (restarting, "a new session follows, asked for by alice"),
        (deleted, "it is being deleted, asked for by carol"),
    ],
)
def test_what_else_bears_on_a_service(make: Callable[[], ServiceStage], reason: str) -> None:
    assert reason in explained(make()).reasons


def test_deadlines_are_told_as_instants() -> None:
    stage = probing()
    assert explained(stage).until == stage.now + 24.0
    stage = terminated()
    assert explained(stage).until == stage.now + 115.0


def test_the_runs_of_a_service() -> None:
    start, ready = explained(probing()).runs
    assert (start.role, start.state, start.since) == (START, RunState.LIVE, 1000.0)
    assert (ready.role, ready.state, ready.since) == (READY, RunState.LIVE, 1003.0)
    (gone,) = explained(failed()).runs
    assert (gone.state, gone.ending) == (RunState.GONE, "start exited with code 3")


def test_an_instant_of_another_boot_means_nothing() -> None:
    """Rule 6.6."""
    stage = failed()
    stage.reboot()
    (gone,) = explained(stage).runs
    assert gone.since is None


def test_the_pid_is_that_of_the_command_where_the_handle_knows_it() -> None:
    run = RunId("r")
    assert pid_of(Handle("machine", run, {"holder_pid": 7, "leader_pid": 8})) == 8
    assert pid_of(Handle("machine", run, {"holder_pid": 7})) == 7
    assert pid_of(Handle("docker", run, {"container": "abc"})) == 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (0.4, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3661, "1 h 1 min")]
)
def test_times_are_as_exact_as_a_person_wants(seconds: float, text: str) -> None:
    assert whole(seconds) == text


@settings(max_examples=150)
@given(st.binary(max_size=150))
def test_every_state_a_service_can_reach_is_explained(data: bytes) -> None:
    """One sentence, in which a failure is named, with a line for each run there is."""
    for stage in wander(data):
        told, run = explained(stage), stage.service.run
        assert told.answer
        assert "\n" not in told.answer
        assert len(told.runs) == sum(not isinstance(proc, Idle) for proc in stage.procs())
        if stage.phase is ServicePhase.FAILED and run is not None and not pending(stage.service):
            assert run.failure in told.answer


# ---------------------------------------------------------------- executions


def in_town(town: Town, execution: str, events: dict[FiringId, Trigger] | None = None) -> Explanation:
    now = Instant(max((stage.now for stage in town.stages()), default=1000.0))
    stage = next(iter(town.stages()))
    at = Present(now, stage.boot, stage.timing)
    return explain_execution(town.execution(execution), town.world(execution), at, events)


def texts(told: Explanation) -> dict[str, str]:
    return {step.label: step.text for step in told.steps}


def test_an_execution_under_way() -> None:
    """Its steps say what they wait for, by label (rule 4.2)."""
    town = Town({"build": ("deps", "web"), "deps": ()}, {"web": a_launch(ready="probe")})
    id_ = town.execute("build", firing="f1")
    town.settle()
    told = in_town(town, id_)
    assert told.answer == 'waiting for steps "deps", "web"'
    assert told.waits_for == ("deps", "web")
    assert texts(told)["deps"].startswith("runs for 0 s")
    assert texts(told)["web"].startswith('service "web" is STARTING: waiting for `ready`')
    (build,) = [step for step in told.steps if step.label == "build"]
    assert (build.phase, build.waits_for) == (None, ("deps", "web"))
    town.ends("deps", Exited(0))
    told = in_town(town, id_)
    assert told.answer.startswith('waiting for step "web": service "web" is STARTING')


def test_an_execution_that_failed() -> None:
    """Rule 4.4: which step, why; and what never began because of it."""
    town = Town({"build": ("deps",), "deps": ()})
    id_ = town.execute("build", firing="f1")
    town.settle()
    town.ends("deps", Exited(2), last_line="no network")
    told = in_town(town, id_)
    assert told.answer == 'step "deps" failed: deps exited with code 2; last line: no network'
    assert texts(told)["build"] == 'never began, since "deps" did not succeed'
    assert told.waits_for == ()


def test_an_execution_that_is_being_stopped() -> None:
    """Rule 4.6."""
    town = Town({"build": ()})
    id_ = town.execute("build", firing="f1")
    town.settle()
    town.stop(id_)
    told = in_town(town, id_)
    assert told.answer == 'its stop was asked for by bob; waiting for "build" to end'
    assert texts(told)["build"].startswith(
        "being stopped: SIGTERM was sent 0 s ago, SIGKILL follows in 2 min"
    )
    town.ends("build", Signaled(15))
    assert in_town(town, id_).answer == "it was stopped, as asked by bob"


def test_a_shared_run_names_who_shares_it() -> None:
    """Rule 6.2."""
    town = Town({"build": ("deps",), "test": ("deps",), "deps": ()})
    first, second = town.execute("build", firing="f1"), town.execute("test", firing="f1")
    town.settle()
    (deps,) = [step for step in in_town(town, first).steps if step.label == "deps"]
    assert deps.shared_with == (second,)
    assert [run.state for run in deps.runs] == [RunState.LIVE]


def joined() -> tuple[Town, ExecutionId]:
    """Two executions of different firings, on one run."""
    town = Town({"build": ("deps",), "deps": ()})
    first, second = town.execute("deps", firing="f1"), town.execute("build", firing="f1")
    firing, other = FiringId("firing-1"), FiringId("firing-2")
    town.executions[first] = replace(town.execution(first), firing=firing)
    town.executions[second] = replace(town.execution(second), firing=other)
    for label, began in (("deps", firing), ("build", other)):
        stage = town.steps[f"{label}@f1"]
        stage.record = replace(stage.step, firing=began)
    town.settle()
    return town, second


def test_rule_6_2a_a_run_that_was_joined_names_the_event_and_execution_that_began_it() -> None:
    town, second = joined()
    events = {FiringId("firing-1"): Trigger.POST_DEVCONTAINER_START}
    told = in_town(town, second, events)
    assert told.answer.startswith('waiting for step "deps": runs for 0 s')
    assert texts(told)["deps"].endswith("; joined the run of postDevcontainerStart, execution e1")
    assert texts(told)["build"] == "waits for deps"
    town.ends("deps", Exited(3))
    assert in_town(town, second).answer == 'step "deps" failed: deps exited with code 3'
    assert texts(in_town(town, second))["deps"].endswith("code 3; joined the run of execution e1")


def test_rule_6_2a_what_waits_for_an_earlier_run_says_so() -> None:
    town = Town({"deps": ()})
    first, second = town.execute("deps", firing="f1"), town.execute("deps", firing="f2")
    town.waits(second, "deps", after="deps@f1")
    town.settle()
    town.stop(first)
    told = in_town(town, second)
    why = 'waits for the end of an earlier run of "deps" that is being stopped, of execution e1'
    assert (told.answer, texts(told)["deps"]) == (f'waiting for step "deps": {why}', why)
    town.ends("deps", Signaled(15))
    assert in_town(town, second).waits_for == ("deps",)
    assert texts(in_town(town, second))["deps"].startswith("runs for 0 s")


def test_an_execution_that_succeeded() -> None:
    town = Town({"build": ("deps",), "deps": ()})
    id_ = town.execute("build", firing="f1")
    town.settle()
    town.ends("deps", Exited(0))
    town.ends("build", Exited(0))
    told = in_town(town, id_)
    assert told.answer == "all 2 steps succeeded"
    assert {step.phase for step in told.steps} == {ExecutionPhase.SUCCEEDED}


def test_a_task_never_started() -> None:
    task = a_task("build", (), ("build",))
    assert "never been started by itself: no trigger starts it" in explain_task(task).answer
    dying = replace(task, deletion=Deletion(Cause("carol", NOON)))
    assert explain_task(dying).reasons == ("it is being deleted, asked for by carol",)
