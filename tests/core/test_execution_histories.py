"""Random histories of executions that share steps and services, against the laws of rules 4.2 to 4.6, 6.2,
6.2a.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_agent.core import wishes
from runner_agent.core.decisions import Action, Spawn
from runner_agent.core.execution import rebooted, shown_steps
from runner_agent.core.proc import alive
from runner_agent.core.sharing import in_the_way
from runner_agent.model.phases import ExecutionPhase, RunRole, ServicePhase
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Bound
from runner_agent.model.runs import Ending, Exited, Lost, Signaled
from runner_agent.model.specs import Cause
from tests.support.histories import (
    DEEP,
    EVERY_DAY,
    Choices,
    Program,
    ServiceStage,
    State,
    StepStage,
    a_launch,
)
from tests.support.town import Town

if TYPE_CHECKING:
    from runner_agent.model.ids import ExecutionId, PlanStepId
    from runner_agent.model.records import Execution, StepStatus

ENDINGS: tuple[Ending, ...] = (
    Exited(0),
    Exited(0),
    Exited(0),
    Exited(1),
    Signaled(15),
    Lost("supervisor lost"),
)
LAUNCHES = (a_launch(), a_launch(ready="probe"), a_launch(ready="probe", timeout=30, stop="bye"))
PENDING, SUCCEEDED = ExecutionPhase.PENDING, ExecutionPhase.SUCCEEDED
FAILED, STOPPED = ExecutionPhase.FAILED, ExecutionPhase.STOPPED
MOST_EXECUTIONS = 4


class Laws:
    """What each execution has shown so far, and what must hold because of it."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.seen: dict[str, dict[PlanStepId, StepStatus]] = {}
        self.stopped: set[str] = set()
        self.finished: dict[str, Execution] = {}

    def judge(self, id_: ExecutionId) -> None:
        execution = self.town.executions[id_]
        if id_ in self.finished:
            assert execution is self.finished[id_], "a terminal execution never changes"
            return
        before = self.seen.get(id_, {})
        now = {step: one.status for step, one in execution.steps.items()}
        self.judge_new(execution, before, now)
        self.judge_moved(before, now)
        self.judge_whole(execution, now)
        self.seen[id_] = now
        if execution.status.phase.terminal:
            self.finished[id_] = execution
            self.judge_let_go(execution)

    def judge_new(
        self,
        execution: Execution,
        before: dict[PlanStepId, StepStatus],
        now: dict[PlanStepId, StepStatus],
    ) -> None:
        """A group is reached when all before it succeeded; nothing is reached after a failure or a stop."""
        reached = [step for step in now if step not in before]
        if not reached:
            return
        assert execution.id not in self.stopped, "rule 4.6: a step begins after the stop"
        assert all(one.phase not in (FAILED, STOPPED) for one in before.values()), "rule 4.4"
        numbers = [
            n for n, group in enumerate(execution.plan.groups) for one in group.steps if one.id in reached
        ]
        for group in execution.plan.groups[: max(numbers)]:
            assert all(now[one.id].phase is SUCCEEDED for one in group.steps), "rule 4.2: groups in order"

    def judge_moved(self, before: dict[PlanStepId, StepStatus], now: dict[PlanStepId, StepStatus]) -> None:
        for step, was in before.items():
            if step not in now:
                assert was.phase is PENDING, "a step that had begun vanished"
            elif was.phase.terminal:
                assert now[step] == was, "a step that has ended never changes"
            elif was.phase is not PENDING:
                assert now[step].phase is not PENDING, "a step turned back"

    def judge_whole(self, execution: Execution, now: dict[PlanStepId, StepStatus]) -> None:
        phases = [one.phase for one in now.values()]
        whole, message = execution.status.phase, execution.status.failure_message
        everything = len(phases) == len(execution.plan.steps()) and all(one is SUCCEEDED for one in phases)
        assert (whole is SUCCEEDED) == everything, "rule 4.3: the aggregate"
        assert (whole is FAILED) == bool(message)
        if whole is FAILED:
            assert FAILED in phases or STOPPED in phases
            assert execution.id not in self.stopped
        if FAILED in phases:
            waiting = [one for one in execution.steps.values() if isinstance(one.grip, Bound)]
            assert not waiting, "rule 4.5: a service step waits on after a failure"
        if whole is STOPPED:
            assert execution.id in self.stopped
        if whole.terminal:
            assert all(one.terminal for one in phases)
        assert (execution.completed_at is not None) == whole.terminal
        began = any(one is not PENDING for one in phases)
        assert (execution.started_at is not None) == (began or execution.id in self.seen_begun())
        assert PENDING not in [one.status.phase for one in shown_steps(execution).values()]

    def seen_begun(self) -> set[str]:
        return {
            id_ for id_, steps in self.seen.items() if any(one.phase is not PENDING for one in steps.values())
        }

    def judge_let_go(self, execution: Execution) -> None:
        """A stopped execution leaves nothing running but what others hold."""
        if execution.status.phase is not STOPPED:
            return
        for work in (step.work for step in execution.plan.steps()):
            if isinstance(work, TaskWork):
                stage = self.town.steps[work.step]
                main, alone = stage.step.task_id == execution.task_id, not stage.step.holders
                reached = any(
                    one.work is work and one.id in execution.steps for one in execution.plan.steps()
                )
                going_on = reached and main and not alone and any(alive(one) for one in stage.procs())
                assert not going_on or stage.step.stopped_by, "rule 6.2: its main task goes on for others"
                held = execution.id in stage.step.holders and stage.step.stopped_by is None
                assert not held or not any(alive(one) for one in stage.procs())

    def judge_spawn(self, stage: StepStage, action: Action) -> None:
        if isinstance(action, Spawn):
            assert stage.step.holders, "nothing runs that nobody has reached"
            before = [one for one in stage.programs if one.ending is not None or one.state is not State.EMPTY]
            assert not before, "rule 6.2: once a firing"
            works = (step.work for one in self.town.executions.values() for step in one.plan.steps())
            mine = (one for one in works if isinstance(one, TaskWork) and one.step == stage.step.id)
            earlier = (self.town.steps[one.after] for one in mine if one.after is not None)
            beside = [one for other in earlier for one in other.procs() if alive(one)]
            assert not beside, "rule 6.2a: beside the run it is to wait for"


class History:
    """One history of a town."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        services = {f"s{n}": choices.of(LAUNCHES) for n in range(choices.below(3))}
        tasks: dict[str, list[str]] = {}
        for n in range(1 + choices.below(5)):
            before = [*services, *tasks]
            tasks[f"t{n}"] = sorted({choices.of(before) for _ in range(choices.below(3)) if before})
        self.town = Town(tasks, services)
        self.laws = Laws(self.town)
        self.names = [*tasks]
        self.late: set[str] = set()
        self.execute()

    def play(self) -> None:
        while self.choices:
            self.move()
        self.finish()

    def move(self) -> None:
        match self.choices.below(16):
            case 0:
                self.execute()
            case 1 | 2 | 3 | 4 | 5:
                self.advance()
            case 6 | 7 | 8:
                self.look()
            case 9 | 10 | 11:
                self.live()
            case 12 | 13:
                self.tell()
            case 14:
                self.stop()
            case _:
                self.odd()

    def execute(self) -> None:
        dying = [one for one in self.town.services.values() if one.removed() or one.service.deletion]
        if len(self.town.executions) == MOST_EXECUTIONS or dying:
            return
        firing = self.choices.of(("f1", "f1", "f2"))
        known = set(self.town.steps)
        id_ = self.town.execute(self.choices.of(self.names[::-1]), firing=firing)
        for name in self.names if firing == "f2" else ():
            other = self.town.steps.get(f"{name}@f1")
            begun = other is not None and other.step.run is not None and in_the_way(other.step)
            if begun and f"{name}@f2" not in known:
                self.late.add(name)  # and so it is for all that show this run
            if name in self.late:
                self.town.waits(id_, name, after=f"{name}@f1")
        for stage in self.town.steps.values():
            stage.before_action = lambda action, stage=stage: self.laws.judge_spawn(stage, action)  # type: ignore[misc]
        self.laws.judge(id_)

    def advance(self) -> None:
        id_ = self.choices.of([*self.town.executions.values()]).id
        self.town.advance(id_)
        self.laws.judge(id_)
        assert not self.town.advance(id_), "advance settles"

    def look(self) -> None:
        if stages := self.town.stages():
            self.choices.of(stages).look()

    def live(self) -> None:
        owned = [
            one for stage in self.town.stages() for one in stage.programs if one.state is not State.EMPTY
        ]
        if owned:
            self.befall(self.choices.of(owned))

    def befall(self, program: Program) -> None:
        match program.state:
            case State.PROMISED:
                spawn, refuse, lapse = program.spawn, program.refuse, program.lapse
                self.choices.of((spawn, spawn, spawn, spawn, refuse, lapse))()
            case State.LIVE:
                program.end(self.choices.of(ENDINGS), leftovers=self.choices.below(4) == 0)
            case _:
                program.clear()

    def tell(self) -> None:
        untold = [(stage, one) for stage in self.town.stages() for one in stage.programs if one.untold]
        if untold:
            stage, program = self.choices.of(untold)
            stage.tell(program, whole=self.choices.below(4) == 0)

    def stop(self) -> None:
        execution = self.choices.of([*self.town.executions.values()])
        stopped = wishes.stop_execution(execution, Cause("bob", self.town.wall))
        if stopped is not execution:
            self.laws.stopped.add(execution.id)
            self.town.executions[execution.id] = stopped

    def odd(self) -> None:
        town = self.town
        services = [one for one in town.services.values() if not one.removed()]
        match self.choices.below(8):
            case 0 | 1 | 2 if services:
                stage = self.choices.of(services)
                stage.record = wishes.stop_service(stage.service, Cause("bob", town.wall))
            case 3 | 4 if services and (stage := self.choices.of(services)).service.deletion is None:
                cause = Cause("alice", town.wall)
                stage.record = wishes.start_service(stage.service, stage.new_session(), cause)
            case 5 if services and self.choices.below(3) == 0:
                self.choices.of(services).delete()
            case 6 if self.choices.below(3) == 0:
                self.reboot()
            case _:
                for one in self.town.stages():
                    if (wake := one.wake()) is not None:
                        one.now = max(one.now, wake)

    def reboot(self) -> None:
        """Rule 6.6: in one write, before anybody looks."""
        for stage in self.town.stages():
            stage.reboot()
        for id_, execution in self.town.executions.items():
            self.town.executions[id_] = rebooted(execution, self.town.wall)
            if id_ not in self.laws.finished:
                self.laws.finished[id_] = self.town.executions[id_]
        assert all(one.status.phase.terminal for one in self.town.executions.values())
        for stage in self.town.stages():
            assert not [one for one in stage.look() if isinstance(one, Spawn)], "nothing is replayed"

    def finish(self) -> None:
        """Every plan comes to its end when the world does its part."""
        town = self.town
        for _ in range(400):
            moved = False
            for id_ in town.executions:
                moved |= town.advance(id_)
                self.laws.judge(id_)
            for stage in self.town.stages():
                moved |= bool(stage.look()) or self.help(stage)
            if not moved:
                break
        unfinished = [one for one in town.executions.values() if not one.status.phase.terminal]
        assert not unfinished, "a plan does not come to its end"

    def help(self, stage: StepStage | ServiceStage) -> bool:
        if stage.removed():
            return True
        if untold := [one for one in stage.programs if one.untold]:
            stage.tell(untold[0])
            return True
        for program in stage.programs:
            wakes = stage.wake() is not None
            service = stage.service if isinstance(stage, ServiceStage) else None
            if program.state is State.PROMISED:
                program.spawn()
            elif program.state is State.ENDED:
                program.clear()
            elif program.state is State.LIVE and (
                program.role in (RunRole.TASK, RunRole.READY, RunRole.STOP)
                or program.terminated
                or (service is not None and service.status.phase is ServicePhase.STOPPING and not wakes)
            ):
                program.end(Exited(0))
            else:
                continue
            return True
        if (wake := stage.wake()) is not None:
            stage.now = max(stage.now, wake)
            return True
        return False


@pytest.mark.parametrize("examples", [EVERY_DAY, pytest.param(DEEP, marks=pytest.mark.heavy)])
@pytest.mark.timeout(300)  # seconds, on a machine that is busy; alone it takes three, or a minute
def test_execution_histories(examples: int) -> None:
    """Rules 4.2 to 4.6, 6.2 and 6.6 over any history."""

    @settings(max_examples=examples)
    @given(st.binary(min_size=24, max_size=140))
    def play(data: bytes) -> None:
        History(Choices(data)).play()

    play()
