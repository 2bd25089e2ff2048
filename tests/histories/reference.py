"""The reference model of services: what rules 3.1 to 3.14 allow, told from wishes and what the machine saw.

It knows nothing of how the product decides. A deed (a command begun, a signal) is judged when it is done, a
phase when it is shown; where it takes the agent time to learn of something, more than one phase is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.records import ServiceStatus
from runner_agent.model.runs import Exited
from tests.histories.witness import Seen

P = ServicePhase
AT_REST = frozenset({P.STOPPED, P.FAILED})
RANK = {P.STARTING: 1, P.RUNNING: 2, P.STOPPING: 3, P.STOPPED: 4, P.FAILED: 4}
GRACE, LEFTOVERS, PROBE_REST = 120.0, 10.0, 1.0
SOON = 0.3
"""Seconds an attentive agent may take to see and to do."""
EXACT = 0.001


@dataclass(frozen=True, slots=True)
class Scripts:
    """A service's commands as the model needs them. `timeout`: of readiness, in seconds; 0 is none."""

    start: str
    ready: str = ""
    stop: str = ""
    timeout: float = 0.0


@dataclass(slots=True)
class Session:
    """One session: when it was asked for, until when, and its runs.

    `dead`: it must never begin any more. `maybe`: it was to begin when the agent was told to go down, so it
    has been ended, or the next agent begins it.
    """

    asked: float
    versions: set[int]
    start: Seen | None = None
    readies: list[Seen] = field(default_factory=list[Seen])
    stop: Seen | None = None
    released: float | None = None
    dead: bool = False
    maybe: bool = False
    forced: bool = False
    murky: bool = False
    rank: int = 0

    def runs(self) -> list[Seen]:
        return [run for run in (self.start, *self.readies, self.stop) if run is not None]

    @property
    def alive(self) -> bool:
        return any(run.alive for run in self.runs())


@dataclass(slots=True)
class ServiceModel:
    """What is wished for one service, and its sessions. `deleting`: None, "" or "force"."""

    reference: str
    version: int
    specs: dict[int, Scripts]
    running: bool = False
    session: str = ""
    deleting: str | None = None
    sessions: dict[str, Session] = field(default_factory=dict[str, Session])

    # --- wishes

    def asked_to_run(self, session: str, now: float) -> None:
        if session == self.session and self.running:
            return
        self.release(now)
        self.running, self.session = True, session
        self.sessions[session] = Session(now, {self.version})

    def asked_to_stop(self, now: float) -> None:
        self.running = False
        self.release(now)

    def asked_to_go(self, now: float, *, force: bool) -> None:
        self.asked_to_stop(now)
        self.deleting = "force" if force or self.deleting == "force" else ""
        for session in self.sessions.values():
            session.forced |= force

    def respecified(self, version: int, scripts: Scripts) -> None:
        self.version, self.specs[version] = version, scripts
        if self.running and self.sessions[self.session].start is None:
            self.sessions[self.session].versions.add(version)

    def release(self, now: float) -> None:
        current = self.sessions.get(self.session)
        if current is not None and current.released is None:
            current.released = now

    def scripts(self, session: Session) -> Scripts:
        """Those it began with, or, before, one of those it may begin with."""
        return self.specs[session.start.version if session.start is not None else max(session.versions)]

    def would_be_renewed(self, status: ServiceStatus, now: float) -> bool | None:
        """Whether a start now asks for a new session (rule 3.6). None: it may or may not."""
        session = self.sessions.get(self.session)
        if not self.running or session is None:
            return True
        late = self.timed_out(session, now) is not None
        if session.start is None and (session.maybe or session.murky):
            return None
        if session.start is None:
            failed = status.session == self.session and status.phase in AT_REST
            return session.dead or session.released is not None or failed
        if session.start.known is not None or session.released is not None:
            return True
        return None if session.murky else late

    # --- what follows from them

    def ready_at(self, session: Session) -> float | None:
        """When it was seen to be ready first."""
        start = session.start
        if start is None:
            return None
        if not self.scripts(session).ready:
            return start.at
        good = [one.ended for one in session.readies if one.ending == Exited(0) and one.ended is not None]
        return min((at for at in good if start.known is None or at <= start.known), default=None)

    def timed_out(self, session: Session, now: float) -> float | None:
        """When its readinessTimeout ended it (rule 3.4)."""
        start, timeout = session.start, self._timeout(session)
        earliest = self._earliest(session)
        if not timeout or now < earliest + timeout:
            return None
        late = start is None or start.at - earliest >= SOON  # when it was promised, only the agent knows
        session.murky |= late
        if start is None or (late and now < start.at + timeout):
            return None
        limit, ready = (start.at if late else earliest) + timeout, self.ready_at(session)
        before = [at for at in (ready, start.known, session.released) if at is not None]
        if any(abs(at - limit) < SOON for at in before):
            session.murky = True
        return None if any(at < limit for at in before) else limit

    def _timeout(self, session: Session) -> float:
        """0 is none. Before it begins, that of any version that it may begin with."""
        if session.start is not None:
            return self.scripts(session).timeout
        return min(
            (self.specs[one].timeout for one in session.versions if self.specs[one].timeout), default=0.0
        )

    def _earliest(self, session: Session) -> float:
        """The first moment that its start can have been promised: no older session was left."""
        older = [one for one in self.sessions.values() if one is not session and one.asked <= session.asked]
        ends = [run.emptied for one in older for run in one.runs() if run.emptied is not None]
        return max([session.asked, *ends])

    def asked_down(self, session: Session, now: float) -> float | None:
        """When its end was first wanted."""
        asked = [at for at in (session.released, self.timed_out(session, now)) if at is not None]
        return min(asked, default=None)

    def allowed(self, session: Session | None, now: float) -> frozenset[ServicePhase]:
        """The phases of the session shown, once the agent has had the time to look."""
        if session is None:
            return frozenset({P.STOPPED})
        start, asked = session.start, self.asked_down(session, now)
        if start is None and session.maybe:
            return AT_REST | {P.STARTING}
        if start is None:
            given_up = AT_REST | {P.STOPPING} if session.murky else frozenset[ServicePhase]()
            at_rest = session.dead or asked is not None
            return given_up | (AT_REST if at_rest else self._not_begun(session))
        if session.alive:
            if session.murky and start.known is None and session.released is None:
                return frozenset({P.STARTING, P.RUNNING, P.STOPPING})
            if asked is not None or start.known is not None:
                return frozenset({P.STOPPING})
            return frozenset({P.STARTING if self.ready_at(session) is None else P.RUNNING})
        if session.dead or session.murky or session.forced or start.known is None:
            return AT_REST
        by_itself = frozenset({P.STOPPED if start.ending == Exited(0) else P.FAILED})
        if asked is None or start.known < asked:
            return by_itself
        stopped = self._stopped(session, start.known - asked < SOON)
        return stopped | by_itself if start.known == asked else stopped  # which came first, nobody knows

    def _not_begun(self, session: Session) -> frozenset[ServicePhase]:
        phases: set[ServicePhase] = set()
        for version in session.versions:
            script = self.specs[version].start
            if "#: cannot" in script:
                phases.add(P.FAILED)
            if "#: prepare" in script:
                phases.add(P.STARTING)
        return frozenset(phases)

    def _stopped(self, session: Session, close: bool) -> frozenset[ServicePhase]:
        """It was asked to, and nothing is left (rules 3.4, 3.7, 3.8)."""
        scripts = self.scripts(session)
        if session.released is None or (
            session.start is not None
            and scripts.timeout
            and session.released > self._earliest(session) + scripts.timeout
            and self.ready_at(session) is None
        ):
            return frozenset({P.FAILED})
        if not scripts.stop:
            return frozenset({P.STOPPED})
        if "#: cannot" in scripts.stop:
            return frozenset({P.FAILED})
        if session.stop is None:
            return AT_REST if close else frozenset({P.STOPPING})
        return frozenset({P.STOPPED if session.stop.ending == Exited(0) else P.FAILED})

    # --- judging deeds

    def may_begin(self, role: RunRole, session: Session, now: float, lag: float) -> str:
        """Why this command must not begin now; "" if it may. `lag`: how old the agent's knowledge may be."""
        asked = self.asked_down(session, now)
        if role is RunRole.START:
            others = [one for one in self.sessions.values() if one is not session and one.alive]
            return (
                ("twice in a session" if session.start is not None else "")
                or ("while another session lives" if others else "")
                or ("after a reboot" if session.dead else "")
                or ("though it is not wished for" if asked is not None and now - asked > lag else "")
            )
        if session.start is None:
            return "before start"
        if role is RunRole.READY:
            gone = [one.ended for one in session.readies if one.ended is not None]
            return (
                ("while another attempt lives" if any(one.alive for one in session.readies) else "")
                or ("too soon after the last" if gone and now - max(gone) < PROBE_REST - EXACT else "")
                or ("once ready" if self.ready_at(session) is not None else "")
                or ("though start has ended" if _past(session.start.known, now, lag) else "")
                or ("though it is coming down" if _past(asked, now, lag) else "")
            )
        return (
            ("twice in a session" if session.stop is not None else "")
            or ("though nobody asked for a stop" if asked is None and not session.murky else "")
            or ("though start had ended before" if _past(session.start.known, asked or now, lag) else "")
            or ("by force" if session.forced and now - (asked or now) > lag else "")
        )

    def may_terminate(self, session: Session, now: float) -> str:
        if self.asked_down(session, now) is None and not session.murky:
            return "though nobody wants it to end"
        stop = self.scripts(session).stop
        return "though it has a stop command" if stop and "#: cannot" not in stop else ""

    def may_kill(self, seen: Seen, session: Session, now: float) -> str:
        """Rules 3.7, 3.8: no SIGKILL before its deadline, except by force."""
        if session.forced or (seen.ended is not None and now >= seen.ended + LEFTOVERS - EXACT):
            return ""
        asked, start, stop = self.asked_down(session, now), session.start, session.stop
        match seen.request.role:
            case RunRole.START:
                due = seen.terminated is not None and now >= seen.terminated + GRACE - EXACT
                after_stop = stop is not None and (
                    stop.ended is not None or not stop.alive or now >= stop.at + GRACE - EXACT
                )
                return "" if due or after_stop else "before its deadline"
            case RunRole.READY:
                left = asked is not None or session.murky or self.ready_at(session) is not None
                return "" if left or (start is not None and start.known is not None) else "while STARTING"
            case _:
                return "" if now >= seen.at + GRACE - EXACT else "before its deadline"


def _past(at: float | None, now: float, lag: float) -> bool:
    return at is not None and now - at > lag
