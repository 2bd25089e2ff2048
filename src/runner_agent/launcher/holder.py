"""The holder: owns exactly one run until nothing of it is left. Its absence means the run's absence.

It is the subreaper of the run, so "no child left" (ECHILD) proves that the whole subtree is gone, whatever
forked, detached or changed its session. It waits for signals, all of which are blocked: SIGCHLD, and the
control signals of `wire`; and for what the command writes, which it copies to the log.
"""

import os
import signal
import time

from runner_agent.launcher import cgroup, freezer, loglines, procs, records, wire
from runner_agent.launcher.ear import ear, wait
from runner_agent.launcher.signal_names import signal_name
from runner_agent.launcher.wire import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner_agent.launcher.copier import Copier
    from runner_agent.launcher.order import Order
    from runner_agent.launcher.wire import Message

TERMINATE = signal.SIGRTMIN + wire.TERMINATE
KILL = signal.SIGRTMIN + wire.KILL
LINGER = signal.SIGRTMIN + wire.LINGER
UNLINGER = signal.SIGRTMIN + wire.UNLINGER
HEARD = (signal.SIGCHLD, TERMINATE, KILL, LINGER, UNLINGER)

NEVER = float("inf")
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 5.0


class Pause:
    """Seconds until the next try, doubling."""

    def __init__(self) -> None:
        """Due at once."""
        self.due = 0.0
        self._seconds = _FIRST_PAUSE

    def after(self, now: float) -> float:
        """Failed at `now`: when to try again."""
        self.due = now + self._seconds
        self._seconds = min(2 * self._seconds, _LONGEST_PAUSE)
        return self.due


class Holder:
    """The run, seen by the only process that may wait for it."""

    # One instance a process: what a run changes late or never is kept here, and not written by each holder.
    _leader_lives = True
    _childless = False
    _lingering = False
    _killing = False
    _kill_at = NEVER
    _passed_on = (0, False)
    _record: "Message | None" = None
    _record_again = Pause()
    _round_again = Pause()
    _settle_again = Pause()

    def __init__(self, order: "Order", log: "Copier", claimed: int, began: int, leader: int) -> None:
        """The run is claimed, by a record that can be added to; its command, the leader, is spawned (or not:
        call `fail` then).
        """
        self._order = order
        self._log = log
        self._claimed = claimed
        self._began = began
        self._leader = leader

    def watch(self) -> None:
        """Until nothing is left of the run and its end is on record."""
        wake = NEVER if self._leader_lives else 0.0
        while True:
            self._hear(wake)
            now = time.monotonic()
            wake = self._clear(now)  # before reaping: a zombie pins its group (procs.kill_round)
            if self._reap():
                wake = self._clear(now)
            wake = min(wake, self._save(now), self._settle(now))
            if self._childless and self._record is None:
                left = self._leave_cgroup(now)
                if left == 0.0:
                    self._log.close()
                    return
                wake = left

    def _hear(self, wake: float) -> None:
        """Copy output until a signal comes or the time, and obey all: the kernel sorts them by number."""
        while True:
            limit = None if wake == NEVER else max(0.0, (wake - time.monotonic()) * 1000)
            rest = 0.0
            for descriptor, _ in wait(limit):
                if descriptor == ear.pipe:
                    rest = self._log.copy()
            info = signal.sigtimedwait(HEARD, rest)
            if info is not None or limit == 0.0 or not self._log.settled:
                break
        while info is not None:
            self._obey(info.si_signo)
            info = signal.sigtimedwait(HEARD, 0)

    def _obey(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._round_again = Pause()  # something died: what it forked last is ours to see now
        elif number == TERMINATE:
            self._terminate()
        elif number == KILL:
            self._killing = True
        elif number == LINGER:
            self._lingering = True
        elif number == UNLINGER:
            self._lingering = False

    def _terminate(self) -> None:
        """SIGTERM to the leader's group; SIGCONT after it, for a stopped process takes no signal."""
        for number in (signal.SIGTERM, signal.SIGCONT):
            if not self._leader_lives:
                group = [proc for proc in procs.descendants(os.getpid()) if proc.group == self._leader]
                procs.send_all(group, number)
                continue
            try:  # not reaped: the number is the leader's still, and so its group's
                os.killpg(self._leader, number)
            except PermissionError:  # all of it runs as somebody else by now
                pass

    def _clear(self, now: float) -> float:
        """End what the leader left behind, or everything once told to kill. Returns when to look again."""
        if self._order.tended:
            return self._pass_on()
        if not self._killing:
            if self._leader_lives or self._lingering or self._childless:
                return NEVER
            if self._kill_at == NEVER:
                return self._say_goodbye(now)
            if now < self._kill_at:
                return self._kill_at
            left = loglines.named(_alive())
            self._note(f"SIGKILL to {left}: still there {self._order.grace} s after SIGTERM")
            self._killing = True
        if now < self._round_again.due:
            return self._round_again.due
        if self._order.cgroup:
            cgroup.kill(self._order.cgroup)
        struck = procs.kill_round()
        for proc in struck:
            freezer.release(proc.pid)
        if struck or not self._childless:
            return self._round_again.after(now)
        return NEVER

    def _pass_on(self) -> float:
        """What is left of the run is elsewhere: who tends it there is told what to do with it, once."""
        number = KILL if self._killing else 0 if self._leader_lives or self._lingering else UNLINGER
        if number and self._passed_on != (number, self._leader_lives):
            self._passed_on = (number, self._leader_lives)
            procs.send_all(_alive(), number)
        return NEVER

    def _say_goodbye(self, now: float) -> float:
        left = _alive()
        if left:
            then = f"SIGTERM, and SIGKILL {self._order.grace} s later"
            self._note(f"{self._order.title} left behind {loglines.named(left)}; {then}")
            procs.send_all(left, signal.SIGTERM, signal.SIGCONT)
        self._kill_at = now + self._order.grace
        return self._kill_at

    def _reap(self) -> bool:
        """Take in all dead children. True if that changes what is to be cleared."""
        lived = self._leader_lives
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return False
            if pid == 0:
                return lived and not self._leader_lives
            if pid == self._leader:
                self._leader_lives = False
                self._record = self._account(status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss)

    def _account(self, status: int, user: float, system_time: float, max_rss: int) -> "Message":
        """How it ended, for the record.

        Output and our line about the end come first: whoever sees the record can read the whole log.
        """
        self._log.drain()
        record = self._ended()
        seconds = (time.monotonic_ns() - self._began) / 1e9
        if self._order.tended:
            record |= records.outcome(self._order.folder) or _cut_off(status)
            self._note(f"{self._order.title} {in_words(record)} after {seconds:.1f} s")
            return record
        why = cgroup.verdict(self._order.cgroup) if self._order.cgroup else ""
        if os.WIFSIGNALED(status):
            number, core = os.WTERMSIG(status), os.WCOREDUMP(status)
            record |= {"how": "signaled", "signal": number, "core": core}
            why = why or ("core dumped" if core else "")
        else:
            record |= {"how": "exited", "code": os.WEXITSTATUS(status)}
        if why:
            record["why"] = why
        self._note(f"{self._order.title} {in_words(record)} after {seconds:.1f} s")
        return record | {"user_seconds": user, "system_seconds": system_time, "max_rss_kib": max_rss}

    def _note(self, text: str) -> None:
        self._log.note(loglines.line(text))

    def fail(self, code: int, reason: str) -> None:
        """There is no leader and will be none."""
        self._leader_lives = False
        self._record = self._ended() | {"how": "not_started", "code": code, "reason": reason}
        self._note(f"{self._order.title} could not be started: {reason}")

    def _ended(self) -> "Message":
        """What is said of every end; `log_size`: bytes of the log before our own last line."""
        return {
            "log_size": self._log.size,
            "began_ns": self._began,
            "ended_ns": time.monotonic_ns(),
            "wall_ns": time.time_ns(),
        }

    def _save(self, now: float) -> float:
        """Put the end on record, for as long as it takes: a full disk may be emptied.

        Returns when to try again.
        """
        if self._record is None:
            return NEVER
        if now < self._record_again.due:
            return self._record_again.due
        self._log.settle()
        if not records.end(self._claimed, self._record):
            return self._record_again.after(now)
        self._record = None
        os.close(self._claimed)
        return NEVER

    def _settle(self, now: float) -> float:
        """Write what a full disk did not take to the log. Returns when to try again."""
        if self._log.settled:
            return NEVER
        if now < self._settle_again.due:
            return self._settle_again.due
        return NEVER if self._log.settle() else self._settle_again.after(now)

    def _leave_cgroup(self, now: float) -> float:
        """Empty and remove the cgroup, of those who came into it from elsewhere too.

        0.0 when done, else when to look again.
        """
        if not self._order.cgroup or cgroup.remove(self._order.cgroup):
            return 0.0
        cgroup.kill(self._order.cgroup)
        return self._round_again.after(now)


def _alive() -> "list[procs.Proc]":
    return [proc for proc in procs.descendants(os.getpid()) if not proc.zombie]


def _cut_off(status: int) -> "Message":
    """What became of a tended run whose leader told nothing: our own signals end it before it has begun."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number in (signal.SIGTERM, KILL):
        return {
            "how": "signaled",
            "signal": int(signal.SIGTERM if number == signal.SIGTERM else signal.SIGKILL),
        }
    return {"how": "lost", "reason": records.LOST}


def in_words(record: "Message") -> str:
    """How it ended, for a line of the log."""
    why = f" ({record['why']})" if record.get("why") else ""
    match record["how"]:
        case "exited":
            return f"exited with code {record['code']}{why}"
        case "signaled":
            return f"was killed by {signal_name(cast('int', record['signal']))}{why}"
        case "not_started":
            return f"could not be started: {record['reason']}"
        case _:
            return f"is lost: {record['reason']}"
