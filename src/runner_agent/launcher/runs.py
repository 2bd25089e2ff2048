"""The launcher's knowledge of runs: which were ordered, which are held, and who waits to be told."""

import os
import select
import time
from collections import deque

from runner_agent.launcher import cgroup, procs, records
from runner_agent.launcher.holder import Pause
from runner_agent.launcher.nursery import Line, packet
from runner_agent.launcher.wire import UNSHARED, Message, Refused, cast, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner_agent.launcher.order import Order

    Answer = Callable[["Message | Refused"], None]


class _Run:
    """A run that was ordered and whose holder has not died yet."""

    __slots__ = ("answers", "cgroup", "folder", "handle", "holders", "memory", "packet", "run_id", "secrets")

    def __init__(self, order: "Order") -> None:
        self.run_id = order.run_id
        self.folder = order.folder
        self.cgroup = order.cgroup
        self.secrets = _own(order)
        self.packet, self.memory = packet(order)
        self.holders: set[int] = set()  # who took the order: one, or more if it had to be sent again
        self.handle: Message | None = None
        self.answers: list[Answer] | None = []  # None once it is settled whether the run is or is not

    def drop_packet(self) -> None:
        """Nobody needs the order any more."""
        self.packet = b""
        for descriptor in (self.memory, self.secrets):
            if descriptor is not None:
                os.close(descriptor)
        self.memory = self.secrets = None


class Runs:
    """All runs ordered and not gone. Nothing here waits: orders go out and reports come in by packets."""

    def __init__(self, line: Line, poll: select.poll, oom_score: int | None) -> None:
        """Hand events of descriptors to `hear`.

        Commands get `oom_score` unless their order says otherwise.
        """
        self.boot = procs.boot_mark()
        self._line = line
        self._poll = poll
        self._oom_score = oom_score
        self._runs: dict[str, _Run] = {}
        self._holders: dict[int, _Run] = {}
        self._queue: deque[_Run] = deque()
        self._void: set[str] = set()
        self._cgroups: set[str] = set()
        self._pause = Pause()
        poll.register(line.orders, 0)
        poll.register(line.reports, select.POLLIN)

    def start(self, order: "Order", answer: "Answer") -> None:
        """Answer with the run's handle once its command executes, or with why it does not.

        Once per run_id, ever.
        """
        if order.run_id in self._void:
            raise _void(order.run_id)
        if (run := self._runs.get(order.run_id)) is not None:
            _when_settled(run, answer)
        elif (first := records.handle(order.folder)) is not None:
            answer(_usable(first))
        else:
            _when_settled(self._order(order), answer)

    def find(self, run_id: str, folder: str, answer: "Answer") -> None:
        """Answer {found: handle}, or {found: null}, and then no start of that run can succeed any more."""
        run = self._runs.get(run_id)
        if run is None:
            self._found(run_id, folder, None, answer)
        else:
            _when_settled(run, lambda result: self._found(run_id, folder, result, answer))

    def _found(self, run_id: str, folder: str, result: "Message | Refused | None", answer: "Answer") -> None:
        if isinstance(result, dict):
            answer({"found": result})
            return
        try:
            first = records.tombstone(folder, run_id)
            if first is None:
                self._void.add(run_id)
            answer({"found": first})
        except Refused as refused:
            answer(refused)
        except OSError as error:
            answer(Refused("failed", f"cannot make sure that run {run_id} never starts: {error}"))

    def survey(self) -> list[Message]:
        """Handles of the runs that have a holder now."""
        return [run.handle for run in self._runs.values() if run.handle]

    def _order(self, order: "Order") -> _Run:
        if order.oom_score_adj is None:
            order.oom_score_adj = self._oom_score
        order.opening = records.opening(order.run_id, order.folder, order.cgroup, self.boot)
        run = _Run(order)
        self._runs[run.run_id] = run
        self._queue.append(run)
        self._send()
        return run

    def _send(self) -> None:
        """Write the orders that the line takes now; the rest when there is room."""
        try:
            while self._queue:
                if self._queue[0].packet:
                    self._line.orders.send(self._queue[0].packet)
                self._queue.popleft()
        except OSError:
            pass
        self._poll.modify(self._line.orders, select.POLLOUT if self._queue else 0)

    def hear(self, descriptor: int, events: int) -> bool:
        """Go on with what a line is ready for. False if the descriptor is none of ours."""
        if descriptor == self._line.orders.fileno():
            if events & select.POLLOUT:
                self._send()
            return True
        if descriptor != self._line.reports.fileno():
            return False
        try:
            while data := self._line.reports.recv(1 << 16):
                self._note(parse(data))
        except BlockingIOError:
            pass
        return True

    def _note(self, said: Message) -> None:
        """One report: an order was taken, a run is or is not, a holder died."""
        run = self._runs.get(str(said.get("run_id")))
        if "died" in said:
            self._bury(cast("int", said["pid"]), cast("int", said["died"]))
        elif run is None:
            pass
        elif "taken" in said:
            holder = cast("int", said["pid"])
            run.holders.add(holder)
            self._holders[holder] = run
            run.drop_packet()
        else:
            run.drop_packet()
            self._settle(run, Refused("not_started", str(said["reason"])) if "reason" in said else said)

    def _settle(self, run: _Run, result: "Message | Refused") -> None:
        if run.answers is None:
            return
        answers, run.answers = run.answers, None
        if isinstance(result, Refused):
            self._runs.pop(run.run_id, None)
        else:
            run.handle = result
        for answer in answers:
            answer(result)

    def _bury(self, pid: int, status: int) -> None:
        """A holder is gone. If it was killed, the nursery kills what it held; its cgroup is ours to clear."""
        run = self._holders.pop(pid, None)
        if run is None:
            if status:
                self._send_again()
            return
        if status and run.cgroup:
            self._cgroups.add(run.cgroup)
            self._pause = Pause()
        run.holders.discard(pid)
        if not run.holders:
            if run.answers is not None:  # else it is told, and its folder may be going just now
                self._settle(run, _judge(run))
            if self._runs.get(run.run_id) is run:
                del self._runs[run.run_id]

    def _send_again(self) -> None:
        """A blank was killed, perhaps holding an order: let others have it. Only one can claim it."""
        self._queue.extend(run for run in self._runs.values() if run.packet and run not in self._queue)
        self._send()

    def tend(self) -> float | None:
        """Clear the cgroups of killed holders.

        Returns milliseconds until it wants to be called again, if it does.
        """
        for path in tuple(self._cgroups):
            cgroup.kill(path)
            if cgroup.remove(path):
                self._cgroups.discard(path)
        if not self._cgroups:
            return None
        now = time.monotonic()
        return (self._pause.after(now) - now) * 1000


def _own(order: "Order") -> int | None:
    """Have the order's secrets be where they stay until it is taken, whatever the agent does meanwhile."""
    if not order.secrets_in:
        return None
    try:
        secrets = os.open(order.secrets_in, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(UNSHARED, f"secrets_in: cannot open {order.secrets_in}: {error.strerror}") from None
    order.secrets_in = f"/proc/{os.getpid()}/fd/{secrets}"
    return secrets


def _when_settled(run: _Run, answer: "Answer") -> None:
    if run.answers is not None:
        run.answers.append(answer)
    elif run.handle is not None:
        answer(run.handle)


def _judge(run: _Run) -> "Message | Refused":
    """What became of a run whose holder is dead, by its folder alone; if nothing, then nothing ever will."""
    try:
        record = records.tombstone(run.folder, run.run_id)
    except Refused as refused:
        return refused
    except OSError as error:
        return Refused("failed", f"its holder was killed, and its folder cannot be read: {error}")
    return Refused("not_started", "its holder was killed") if record is None else record


def _usable(record: Message) -> Message:
    if record.get("void"):
        raise _void(str(record.get("run_id")))
    return record


def _void(run_id: str) -> Refused:
    return Refused("void", f"run {run_id} was given up before this request came; it will not be started")
