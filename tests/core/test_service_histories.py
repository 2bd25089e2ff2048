"""Random histories of a service against the laws of section 3, judged by what was wished, done and told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner_agent.core import service as rules
from runner_agent.core import wishes
from runner_agent.core.decisions import Action, Begin, Kill, Linger, Spawn, Terminate
from runner_agent.core.facts import NotReadyInTime, OutputSeen, Spawned, StopAsked
from runner_agent.core.proc import alive
from runner_agent.core.timing import Timing
from runner_agent.model.errors import IllegalFact
from runner_agent.model.ids import Instant
from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.records import Deletion
from runner_agent.model.runs import Ending, Exited, Lost, NotStarted, Signaled
from runner_agent.model.specs import Cause
from tests.support.histories import (
    DEEP,
    EVERY_DAY,
    MANY_LOOKS,
    Choices,
    Program,
    ServiceStage,
    State,
    a_launch,
)

if TYPE_CHECKING:
    from runner_agent.core.facts import ServiceFact

START, READY, STOP = RunRole.START, RunRole.READY, RunRole.STOP
GRACE, LEFTOVERS = 120.0, 10.0
ENDINGS: tuple[Ending, ...] = (Exited(0), Exited(1), Signaled(15), Lost("supervisor lost"))
LAUNCHES = tuple(
    a_launch(ready=ready, stop=stop, timeout=timeout)
    for ready, timeout in (("", None), ("probe", None), ("probe", 30.0))
    for stop in ("", "bye")
)
TIMINGS = (Timing(), Timing(ready_attempt_timeout=5))
PAUSES = (0.0, 0.001, 0.5, 1.0, 10.0, 119.999, 120.0, 1000.0)


class Laws:
    """What was wished and told so far, in the plainest terms, and what must hold because of it."""

    def __init__(self, stage: ServiceStage) -> None:
        self.stage = stage
        self.wished = ""
        """The session that is wished for; "" for none."""
        self.forced = False
        self.promised: dict[str, float] = {}
        """When the `start` of a session was first asked for."""
        self.timed_out: set[str] = set()
        self.too_late: set[str] = set()
        """Sessions whose `start` was told to have ended before they became unwanted."""
        self.was_running: set[str] = set()
        self.launches = {"": stage.service.spec.launch}
        self.phases: list[tuple[str, ServicePhase]] = []
        stage.before_action = self.judge
        stage.after_fact = self.observe

    # --- the wishes

    def wish(self) -> None:
        spec, deletion = self.stage.service.spec, self.stage.service.deletion
        wished = spec.session if spec.desired_phase is ServicePhase.RUNNING and deletion is None else ""
        self.wished = wished
        self.forced = deletion is not None and deletion.force

    # --- what may be done

    def judge(self, action: Action) -> None:
        match action:
            case Spawn(role=role):
                self.judge_spawn(role)
            case Terminate():
                self.judge_terminate()
            case Kill(role=role):
                self.judge_kill(self.stage.program(role))
            case Begin():
                assert self.wished, "a session begins that nobody wants"
                assert not self.left(), "rule 3.6: the old session is not gone"
                self.launches[self.wished] = self.stage.service.spec.launch
            case Linger(on=on):
                assert self.runs(STOP) if not on else True
            case _:
                pass

    def judge_spawn(self, role: RunRole) -> None:
        session = self.stage.owner()
        before = [one for one in self.runs(role) if not (one.told is State.EMPTY and one.ending is None)]
        match role:
            case RunRole.START:
                assert session == self.wished, "nothing is spawned for an unwanted session"
                assert not before, "rule 3.6: start runs once a session"
                self.promised.setdefault(session, self.stage.now)
            case RunRole.READY:
                assert session == self.wished
                assert session not in self.was_running, "rule 3.3: ready is a gate only"
                assert all(one.told is State.EMPTY for one in before), "rule 3.3: never two at once"
                ends = [one.end_told_at for one in before if one.end_told_at is not None]
                assert all(self.stage.now >= end + 1 for end in ends), "rule 3.3: 1 s after the end"
            case _:
                assert session != self.wished or session in self.timed_out
                assert not before, "rule 3.8: stop runs once"
                assert session not in self.too_late, "rule 3.8: skipped if start had ended before"
                assert not self.forced
                starts = [one for one in self.runs(START) if one.told in (State.LIVE, State.ENDED)]
                assert all(one.lingers for one in starts), "rule 3.8: start's leftovers wait for stop"

    def judge_terminate(self) -> None:
        start = self.stage.program(START)
        assert start.owner != self.wished or start.owner in self.timed_out, "a wanted run is terminated"
        assert not start.terminated, "SIGTERM exactly once"
        if self.launches[start.owner].commands.stop:
            stops = self.runs(STOP)
            assert stops, "rule 3.8: stop runs instead of SIGTERM"
            assert stops[-1].spawn_told_at is None

    def judge_kill(self, program: Program) -> None:
        now = self.stage.now
        cleared = program.end_told_at is not None and now >= program.end_told_at + LEFTOVERS
        if self.forced or cleared:
            return
        match program.role:
            case RunRole.START:
                due = [at + GRACE for at in program.terminated]
                stops = self.runs(STOP)
                due += [one.end_told_at for one in stops if one.end_told_at is not None and ran(one)]
                due += [stop.spawn_told_at + GRACE for stop in stops if stop.spawn_told_at is not None]
                assert any(now >= at for at in due), "SIGKILL before its deadline"
            case RunRole.READY:
                limit = self.stage.timing.ready_attempt_timeout
                began = program.spawn_told_at
                overran = bool(limit) and began is not None and now >= began + limit
                start = self.runs(START)[-1]
                left_starting = (
                    program.owner != self.wished
                    or program.owner in self.timed_out | self.was_running
                    or start.end_told_at is not None
                )
                assert overran or left_starting, "a probe is killed in the middle of STARTING"
            case _:
                assert program.spawn_told_at is not None
                assert now >= program.spawn_told_at + GRACE, "the stop command is killed early"

    # --- what must be so

    def observe(self, fact: ServiceFact) -> None:
        stage = self.stage
        if isinstance(fact, NotReadyInTime):
            limit = (self.launches[stage.owner()].readiness_timeout or 0) / 1e9
            assert limit
            assert stage.now >= self.promised[stage.owner()] + limit
            self.timed_out.add(stage.owner())
        if isinstance(fact, StopAsked) and not fact.force and stage.owner() not in self.timed_out:
            starts = [one for one in self.runs(START) if one.spawn_told_at is not None]
            if any(one.end_told_at is not None for one in starts):
                self.too_late.add(stage.owner())
        status = stage.service.status
        if status.phase is ServicePhase.RUNNING:
            self.was_running.add(status.session)
        elif status.phase is ServicePhase.STARTING:
            assert status.session not in self.was_running, "RUNNING turned back to STARTING"
        run = stage.service.run
        assert run is not None
        assert not run.is_ready or run.session in self.was_running, "ready without having been RUNNING"
        shown = (status.session, status.phase)
        if not self.phases or self.phases[-1] != shown:
            assert (status.session, ServicePhase.STOPPED) not in self.phases, "an ended session moved"
            assert (status.session, ServicePhase.FAILED) not in self.phases, "an ended session moved"
            self.phases.append(shown)

    def runs(self, role: RunRole) -> list[Program]:
        session = self.stage.owner() if self.stage.service.run else ""
        return [one for one in self.stage.programs if one.role is role and one.owner == session]

    def left(self) -> list[Program]:
        """Programs of which something is left, or of which it is not known."""
        return [one for one in self.stage.programs if one.told is not State.EMPTY]

    def at_rest(self) -> None:
        """After a look: nothing more is asked for, and whatever is to end has somebody who will end it."""
        stage = self.stage
        if stage.removed():
            assert not self.left(), "rule 3.13: gone only when nothing is left"
            return
        decision = stage.decide()
        assert not decision.actions, "decide settles"
        assert decision.wake_at is None or decision.wake_at > stage.now, "a wake-up in the past"
        run = stage.service.run
        if run is None:
            return
        if any(one.end_told_at is not None and ran(one) for one in self.runs(STOP)):
            assert all(one.killed or one.state is State.EMPTY for one in self.runs(START)), "rule 3.8"
        ended = stage.phase in (ServicePhase.STOPPED, ServicePhase.FAILED)
        if ended:
            assert not self.left(), "rule 3.9"
            assert all(one.state is State.EMPTY for one in stage.programs), "rule 3.9"
        elif run.session != self.wished or run.session in self.timed_out:
            owed = any(one.untold or one.state is State.PROMISED for one in stage.programs)
            assert owed or decision.wake_at is not None, "an unwanted run is forgotten"


class History:
    """One history: wishes, lives and deaths of programs, clocks, crashes."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.stage = ServiceStage(choices.of(LAUNCHES), timing=choices.of(TIMINGS))
        self.laws = Laws(self.stage)

    def play(self) -> None:
        while self.choices and not self.stage.removed():
            self.move()
            if self.stage.removed():
                break
            self.laws.wish()
            if self.choices.below(8):
                self.stage.look()
                self.laws.at_rest()
        self.finish()

    def move(self) -> None:
        moves = (
            self.wish,
            self.wish,
            self.live,
            self.live,
            self.live,
            self.tell,
            self.tell,
            self.tell,
            self.wait,
            self.wait,
            self.crash,
            self.odd,
        )
        self.choices.of(moves)()

    def wish(self) -> None:
        stage, cause = self.stage, Cause("alice", self.stage.wall)
        match self.choices.below(8):
            case 0 | 1 | 2:
                if stage.service.deletion is None:
                    stage.record = wishes.start_service(stage.service, stage.new_session(), cause)
            case 3 | 4 | 5:
                stage.record = wishes.stop_service(stage.service, cause)
            case 6:
                spec = replace(stage.service.spec, launch=self.choices.of(LAUNCHES))
                stage.record = replace(stage.service, spec=spec)
            case _:
                if self.choices.below(4) == 0:
                    deletion = Deletion(cause, force=bool(self.choices.below(2)))
                    stage.record = wishes.delete_service(stage.service, deletion)

    def live(self) -> None:
        """Something happens to a program; the agent does not know yet."""
        programs = [one for one in self.stage.programs if one.state is not State.EMPTY]
        if not programs:
            return
        program = self.choices.of(programs)
        match program.state:
            case State.PROMISED:
                match self.choices.below(6):
                    case 0:
                        program.refuse()
                    case 1:
                        program.lapse()
                    case _:
                        program.spawn()
                        program.shrugs = self.choices.of((0, 0, 0, 2))
            case State.LIVE:
                program.end(self.choices.of(ENDINGS), leftovers=self.choices.below(3) == 0)
            case _:
                program.clear()

    def tell(self) -> None:
        if untold := [one for one in self.stage.programs if one.untold]:
            whole = self.choices.below(4) == 0
            self.stage.tell(self.choices.of(untold), last_line="last words", whole=whole)

    def wait(self) -> None:
        wake = self.stage.wake()
        if wake is not None and self.choices.below(2):
            self.stage.now = max(self.stage.now, wake - self.choices.of((0.0, 0.0, 0.001)))
        else:
            self.stage.pass_time(self.choices.of(PAUSES))

    def crash(self) -> None:
        """The agent dies in the middle of what it was doing: a signal may have been sent and not noted."""
        actions = self.stage.decide().actions
        for number in range(self.choices.below(len(actions) + 1)):
            action = actions[number]
            if self.stage.removed() or not self.stage.decide().asks(action):
                return
            self.stage.perform(action, noted=not isinstance(action, Kill) or bool(self.choices.below(2)))

    def odd(self) -> None:
        stage = self.stage
        match self.choices.below(4):
            case 0 if self.choices.below(4) == 0:
                stage.reboot()
                self.laws.wish()
                assert stage.phase in (ServicePhase.STOPPED, ServicePhase.FAILED), "rule 6.6"
                assert not [one for one in stage.decide().actions if isinstance(one, Begin | Spawn)]
            case 1 if stage.service.run is not None and any(alive(proc) for proc in stage.procs()):
                stage.fold(OutputSeen({"k": "v"}))
            case 2:
                stage.wall = stage.wall.replace(year=self.choices.of((2020, 2040)))
            case _:
                self.stale()

    def stale(self) -> None:
        """News of a run that was known already, or of another run, is refused and changes nothing."""
        stage = self.stage
        if not stage.programs or stage.service.run is None:
            return
        program = self.choices.of(stage.programs)
        if program.told is State.PROMISED:
            return
        before = stage.record
        try:
            stage.fold(Spawned(program.role, program.run_id, Instant(stage.now), program.handle))
        except IllegalFact:
            assert stage.record is before
        else:
            raise AssertionError("a stale fact was taken for news")

    def finish(self) -> None:
        """Once the world does its part, the last wish comes true."""
        stage, laws = self.stage, self.laws
        for _ in range(40 * MANY_LOOKS):
            if stage.removed():
                return
            laws.wish()
            stage.look()
            laws.at_rest()
            if stage.removed():
                return
            if untold := [one for one in stage.programs if one.untold]:
                stage.tell(untold[0])
            elif promised := [one for one in stage.programs if one.state is State.PROMISED]:
                promised[0].spawn()
            elif (wake := stage.wake()) is not None and stage.service.run is not None:
                probes = [one for one in laws.runs(READY) if one.state is State.LIVE]
                if probes and stage.phase is ServicePhase.STARTING:
                    probes[0].end(Exited(0))
                else:
                    stage.now = wake
            elif probes := [one for one in laws.runs(READY) if one.state is State.LIVE]:
                probes[0].end(Exited(0))
            elif ended := [one for one in stage.programs if one.state is State.ENDED]:
                ended[0].clear()
            else:
                break
        else:
            raise AssertionError("it never comes to an end")
        self.judge_the_end()

    def judge_the_end(self) -> None:
        stage, laws = self.stage, self.laws
        assert stage.service.deletion is None
        run = stage.service.run
        if laws.wished:
            assert run is not None
            assert run.session == laws.wished, "the last wish wins"
            assert stage.phase in (ServicePhase.RUNNING, ServicePhase.STOPPED, ServicePhase.FAILED)
        else:
            assert run is None or rules.over(run)
            assert not laws.left()


def ran(program: Program) -> bool:
    return program.ending is not None and not isinstance(program.ending, NotStarted)


@pytest.mark.parametrize("examples", [EVERY_DAY, pytest.param(DEEP, marks=pytest.mark.heavy)])
@pytest.mark.timeout(300)  # seconds, on a machine that is busy; alone it takes three, or a minute
def test_service_histories(examples: int) -> None:
    """Rules 3.2 to 3.10, 3.13, 6.6 and 7.2 over any history."""

    @settings(max_examples=examples)
    @given(st.binary(min_size=24, max_size=160))
    def play(data: bytes) -> None:
        History(Choices(data)).play()

    play()


def test_the_laws_see_an_early_kill() -> None:
    stage = ServiceStage(a_launch())
    laws = Laws(stage)
    laws.wished = "session-1"
    stage.start()
    stage.spawned(START)
    laws.wished = ""
    stage.stop()
    stage.pass_time(119)
    with pytest.raises(AssertionError, match="SIGKILL before its deadline"):
        laws.judge(Kill(START))
    with pytest.raises(AssertionError, match="SIGTERM exactly once"):
        laws.judge(Terminate(START))
    stage.pass_time(1)
    laws.judge(Kill(START))
