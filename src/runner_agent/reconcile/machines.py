"""The two kinds of record that own runs, services and steps, behind one face, so that performing and waiting
are written once.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from runner_agent.core import outputs, session, view
from runner_agent.core import service as service_rules
from runner_agent.core import step as step_rules
from runner_agent.core.decisions import REST, Decision, Note, Remove, do
from runner_agent.core.facts import (
    Began,
    NotReadyInTime,
    OutputSeen,
    Rebooted,
    RunEnded,
    RunGone,
    ServiceFact,
    Spawned,
    StopAsked,
    StopOverran,
)
from runner_agent.core.timing import Timing
from runner_agent.model.errors import IllegalFact
from runner_agent.model.ids import BootMark, Instant, Reference
from runner_agent.model.phases import RunRole
from runner_agent.model.records import Service, Step
from runner_agent.model.runs import Down, Kills, Moment, Proc, Up
from runner_agent.model.specs import EnvVar, RunsOn
from runner_agent.reconcile.mode import Course, Mode

R = TypeVar("R", Service, Step)


class Machine(Protocol[R]):
    """What reconciling needs to know of a kind of record."""

    kind: type[R]

    def decide(self, record: R, now: Instant) -> Decision:
        """What is to be done."""
        ...

    def fold(self, record: R, fact: ServiceFact, now: Moment) -> R:
        """The record, run and status, after a fact. Raises IllegalFact."""
        ...

    def began(self, record: R) -> Began:
        """The fact that its wished-for session is taken up. Raises IllegalFact where there are no
        sessions.
        """
        ...

    def procs(self, record: R) -> Mapping[RunRole, Proc]:
        """Its runs by role."""
        ...

    def kills(self, record: R, role: RunRole) -> Kills:
        """The SIGKILLs sent to one of them."""
        ...

    def in_vain(self, record: R, role: RunRole) -> bool:
        """A run of this role, promised but not yet there, would be ended as soon as it is."""
        ...

    def script(self, record: R, role: RunRole) -> tuple[str, RunsOn, tuple[EnvVar, ...]]:
        """What a role runs, where, and with what environment."""
        ...

    def reference(self, record: R) -> Reference:
        """The name it goes by."""
        ...


class ServiceMachine:
    """Services: roles start, ready and stop."""

    kind: type[Service] = Service

    def __init__(self, timing: Timing, boot: BootMark, mode: Mode) -> None:
        self._timing, self._boot, self._mode = timing, boot, mode

    def decide(self, record: Service, now: Instant) -> Decision:
        decision = service_rules.decide(self._mode.wish_for(record), now, self._timing)
        if (
            record.deletion is None and Remove() in decision.actions
        ):  # the agent goes down, the definition stays
            return REST
        return decision

    def fold(self, record: Service, fact: ServiceFact, now: Moment) -> Service:
        run = service_rules.fold(record.run, fact, self._timing)
        posted = record.posted
        if posted is not None and isinstance(fact, OutputSeen):  # rule 5.3: the last write wins
            posted = (posted[0], outputs.left_standing(posted[1], fact.entries))
        when = now.back_at(fact.at) if isinstance(fact, Spawned | RunEnded | RunGone) else now
        return self._shown(replace(record, run=run, posted=posted), when)

    @staticmethod
    def _shown(record: Service, when: Moment) -> Service:
        status, since = view.status(record), record.phase_since
        if status.phase is not record.status.phase:
            later = since is not None and since.boot == when.boot and since.at > when.at
            since = since if later else when
        return replace(record, status=status, phase_since=since)

    def began(self, record: Service) -> Began:
        return Began(record.spec.session, record.spec.launch, self._boot)

    def procs(self, record: Service) -> Mapping[RunRole, Proc]:
        run = record.run
        if run is None:
            return {}
        return {RunRole.START: run.start, RunRole.READY: run.ready, RunRole.STOP: run.stop}

    def kills(self, record: Service, role: RunRole) -> Kills:
        run = record.run
        if run is None:
            return Kills()
        return {RunRole.START: run.start_kills, RunRole.READY: run.ready_kills, RunRole.STOP: run.stop_kills}[
            role
        ]

    def in_vain(self, record: Service, role: RunRole) -> bool:
        return record.run is not None and session.in_vain(record.run, role)

    def rebooted(self, record: Service, now: Moment) -> Service:
        """The record after the machine restarted (rule 6.6)."""
        return self._shown(replace(record, run=service_rules.rebooted(record, self._boot)), now)

    def script(self, record: Service, role: RunRole) -> tuple[str, RunsOn, tuple[EnvVar, ...]]:
        launch = record.run.launch if record.run is not None else record.spec.launch
        scripts = {
            RunRole.START: launch.commands.start,
            RunRole.READY: launch.commands.ready,
            RunRole.STOP: launch.commands.stop,
        }
        return scripts[role], launch.runs_on, launch.env

    def reference(self, record: Service) -> Reference:
        return record.metadata.reference


class StepMachine:
    """Steps: the one role is task."""

    kind: type[Step] = Step

    def __init__(self, timing: Timing, boot: BootMark, mode: Mode) -> None:
        self._timing, self._boot, self._mode = timing, boot, mode

    def decide(self, record: Step, now: Instant) -> Decision:
        run = record.run
        if self._mode.closing and run is None:
            return REST  # nothing new is begun
        forced = self._mode.course is Course.DOWN_NOW
        if forced and run is not None and not step_rules.over(run) and not _forced(run.course):
            return do(Note(StopAsked(now, force=True)))
        return step_rules.decide(record, now, self._timing)

    def fold(self, record: Step, fact: ServiceFact, now: Moment) -> Step:  # noqa: ARG002  as the protocol has it
        if isinstance(fact, (Began, NotReadyInTime, StopOverran)):
            raise IllegalFact("step", record.run, fact)
        run = step_rules.fold(record.run, fact, self._boot, record.reference)
        return replace(record, run=run, status=step_rules.view(run))

    def began(self, record: Step) -> Began:
        raise IllegalFact("step", record.run, Began)

    def procs(self, record: Step) -> Mapping[RunRole, Proc]:
        return {} if record.run is None else {RunRole.TASK: record.run.proc}

    def kills(self, record: Step, role: RunRole) -> Kills:  # noqa: ARG002  as the protocol has it
        return Kills() if record.run is None else record.run.kills

    def in_vain(self, record: Step, role: RunRole) -> bool:  # noqa: ARG002  as the protocol has it
        return record.run is not None and isinstance(record.run.course, Down)

    def rebooted(self, record: Step) -> Step:
        """The record after the machine restarted (rule 6.6)."""
        run = step_rules.fold(record.run, Rebooted(), self._boot, record.reference)
        return replace(record, run=run, status=step_rules.view(run))

    def script(self, record: Step, role: RunRole) -> tuple[str, RunsOn, tuple[EnvVar, ...]]:  # noqa: ARG002  as the protocol has it
        return record.spec.command, record.spec.runs_on, record.spec.env

    def reference(self, record: Step) -> Reference:
        return record.reference


def _forced(course: Up | Down) -> bool:
    return isinstance(course, Down) and course.force
