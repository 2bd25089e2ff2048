"""Random histories of a step record against the laws of rules 4.4 to 4.7 and 6.2."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_agent.core import step as rules
from runner_agent.core.decisions import Action, Kill, Spawn, Terminate
from runner_agent.core.facts import OutputSeen, RunGone, ServiceFact
from runner_agent.core.proc import alive
from runner_agent.model.errors import IllegalFact
from runner_agent.model.ids import ExecutionId, Instant
from runner_agent.model.phases import ExecutionPhase
from runner_agent.model.records import StepStatus
from runner_agent.model.runs import Ending, Exited, Lost, Signaled
from tests.support.histories import DEEP, EVERY_DAY, MANY_LOOKS, Choices, State, StepStage

GRACE, LEFTOVERS = 120.0, 10.0
ENDINGS: tuple[Ending, ...] = (Exited(0), Exited(1), Signaled(15), Lost("supervisor lost"))
PAUSES = (0.0, 0.001, 0.5, 10.0, 119.999, 120.0, 1000.0)


class History:
    """One history; the laws are judged by what was held, done and told."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.stage = StepStage("e1", "e2")
        self.unwanted_once = False
        """Since it began there was a moment in which nobody wanted it."""
        self.ended_in_time: ExecutionPhase | None = None
        self.last: StepStatus | None = None
        self.rebooted = False
        self.stage.before_action = self.judge
        self.stage.after_fact = self.observe

    @property
    def wanted(self) -> bool:
        return bool(self.stage.step.holders) and self.stage.step.stopped_by is None

    def judge(self, action: Action) -> None:
        stage = self.stage
        if isinstance(action, Spawn):
            assert self.wanted, "nothing is spawned that nobody wants"
            assert not self.rebooted, "rule 6.6: nothing is replayed"
            assert all(one.told is State.EMPTY and one.ending is None for one in stage.programs), "run once"
        if isinstance(action, Terminate):
            assert self.unwanted_once
            assert not stage.program().terminated, "SIGTERM exactly once"
        if isinstance(action, Kill):
            program = stage.program()
            due = [at + GRACE for at in program.terminated]
            due += [program.end_told_at + LEFTOVERS] if program.end_told_at is not None else []
            assert any(stage.now >= at for at in due), "SIGKILL before its deadline"

    def observe(self, fact: ServiceFact) -> None:
        status = self.stage.step.status
        if self.last is not None and self.last.phase.terminal:
            assert status == self.last, "what has ended never changes"
        if status is not None and status.phase.terminal:
            assert all(one.told is State.EMPTY for one in self.stage.programs), "ended only when all is gone"
            if isinstance(fact, RunGone):
                self.judge_the_ending(status.phase)
        self.last = status

    def judge_the_ending(self, phase: ExecutionPhase) -> None:
        program = self.stage.program()
        if self.ended_in_time is not None:
            assert phase is self.ended_in_time, "a stop after the end changes nothing"
        elif self.unwanted_once:
            assert phase is ExecutionPhase.STOPPED or not program.terminated
        else:
            assert phase is (
                ExecutionPhase.SUCCEEDED if program.ending == Exited(0) else ExecutionPhase.FAILED
            )

    def play(self) -> None:
        while self.choices:
            self.move()
            self.unwanted_once |= not self.wanted
            if self.choices.below(8):
                self.look()
        self.finish()

    def look(self) -> None:
        stage = self.stage
        stage.look()
        decision = stage.decide()
        assert not decision.actions
        assert decision.wake_at is None or decision.wake_at > stage.now
        if any(alive(proc) for proc in stage.procs()) and not self.wanted:
            owed = any(one.untold or one.state is State.PROMISED for one in stage.programs)
            assert owed or decision.wake_at is not None, "an unwanted run is forgotten"

    def move(self) -> None:
        stage = self.stage
        match self.choices.below(12):
            case 0 | 1:
                holders = self.choices.of((("e1", "e2"), ("e1",), ("e2",), (), ("e3",)))
                stage.record = replace(stage.step, holders=tuple(ExecutionId(one) for one in holders))
            case 2:
                if self.choices.below(6) == 0:
                    stage.record = replace(stage.step, stopped_by=ExecutionId("e1"))
            case 3 | 4 | 5:
                self.live()
            case 6 | 7 | 8:
                self.tell()
            case 9 | 10:
                wake = stage.wake()
                if wake is not None and self.choices.below(2):
                    stage.now = max(stage.now, wake - self.choices.of((0.0, 0.001)))
                else:
                    stage.pass_time(self.choices.of(PAUSES))
            case _:
                self.odd()

    def live(self) -> None:
        programs = [one for one in self.stage.programs if one.state is not State.EMPTY]
        if not programs:
            return
        program = self.choices.of(programs)
        match program.state:
            case State.PROMISED:
                refuse, lapse = program.refuse, program.lapse
                self.choices.of((program.spawn, program.spawn, program.spawn, refuse, lapse))()
                program.shrugs = self.choices.of((0, 0, 2))
            case State.LIVE:
                program.end(self.choices.of(ENDINGS), leftovers=self.choices.below(3) == 0)
            case _:
                program.clear()

    def tell(self) -> None:
        untold = [one for one in self.stage.programs if one.untold]
        if not untold:
            return
        program = self.choices.of(untold)
        self.stage.tell(program, last_line="last words", whole=self.choices.below(4) == 0)
        run = self.stage.step.run
        if program.told is State.ENDED and run is not None and type(run.course).__name__ == "Up":
            succeeded = program.ending == Exited(0)
            self.ended_in_time = ExecutionPhase.SUCCEEDED if succeeded else ExecutionPhase.FAILED

    def odd(self) -> None:
        stage = self.stage
        match self.choices.below(8):
            case 0:
                self.rebooted = True
                self.last = self.last if self.last is not None and self.last.phase.terminal else None
                stage.reboot()
            case 1 | 2 if any(alive(proc) for proc in stage.procs()):
                stage.fold(OutputSeen({"k": "v"}))
            case 3 if stage.programs and stage.programs[-1].told is not State.PROMISED:
                program = stage.programs[-1]
                before = stage.record
                try:
                    stage.fold(RunGone(program.role, stage.step.id, Instant(stage.now), Exited(0)))  # type: ignore[arg-type]
                except IllegalFact:
                    assert stage.record is before
                else:
                    raise AssertionError("news of another run was taken for its own")
            case _:
                self.crash()

    def crash(self) -> None:
        """The agent dies between a SIGKILL and noting it."""
        for action in self.stage.decide().actions:
            if isinstance(action, Kill):
                self.stage.perform(action, noted=False)

    def finish(self) -> None:
        """Unwanted in the end, it ends."""
        stage = self.stage
        stage.record = replace(stage.step, holders=())
        self.unwanted_once = True
        for _ in range(20 * MANY_LOOKS):
            self.look()
            if untold := [one for one in stage.programs if one.untold]:
                stage.tell(untold[0])
            elif promised := [one for one in stage.programs if one.state is State.PROMISED]:
                promised[0].spawn()
            elif (wake := stage.wake()) is not None:
                stage.now = wake
            else:
                break
        assert stage.step.run is None or rules.over(stage.step.run)
        assert all(one.state is State.EMPTY for one in stage.programs)


@pytest.mark.parametrize("examples", [EVERY_DAY, pytest.param(DEEP, marks=pytest.mark.heavy)])
@pytest.mark.timeout(300)  # seconds, on a machine that is busy; alone it takes three, or a minute
def test_step_histories(examples: int) -> None:
    """Rules 4.4, 4.6, 4.7, 6.2 and 6.6 over any history."""

    @settings(max_examples=examples)
    @given(st.binary(min_size=16, max_size=100))
    def play(data: bytes) -> None:
        History(Choices(data)).play()

    play()
