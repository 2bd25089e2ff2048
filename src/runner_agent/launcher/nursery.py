"""The nursery: the process that forks holders, and does so little else that they share nearly all its memory.

After every fork, each page that the parent writes to is from then on the child's alone. So the process that
talks with the agent does not fork, and this one does not talk: its holders read their orders, and report,
past it.

Some holders are forked before there is a run for them (blank), since forking takes longer than all the rest
of a start. The nursery is a subreaper: children that are not holders are orphans of a killed one, and are
killed.
"""

import _socket as sockets  # see `system`
import json
import os
import select
import signal
import sys
import time

from runner_agent.launcher import begin, procs, records, system
from runner_agent.launcher.ear import ear
from runner_agent.launcher.holder import HEARD, Pause
from runner_agent.launcher.order import Order
from runner_agent.launcher.reasons import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from runner_agent.launcher.wire import Message

BLANKS = 2
_REHEARSALS = 16
_POOL, _POOL_HEAD = 16384, 48
_MOST_GAPS = 5000

# For what cannot be rehearsed: to look up an attribute that was not met before writes to caches.
_setsid, _getpid, _read, _write, _close = os.setsid, os.getpid, os.read, os.write, os.close
_become_subreaper = system.become_subreaper
_MAX_PACKET = 8192


class Line:
    """The launcher's ends of the lines to its nursery.

    `orders` is written, one packet an order; `reports` is read.
    """

    def __init__(self, state: str) -> None:
        """Forks the nursery, with all signals blocked (see system.take_signals); `pid` is its number.

        Raises OSError.
        """
        self.orders, takers = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
        self.reports, reporters = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
        for line in (self.orders, self.reports, reporters):
            line.settimeout(0)
        self.pid = os.fork()
        if self.pid == 0:
            _live(state, takers.fileno(), reporters.fileno())
        takers.close()
        reporters.close()


def packet(order: Order) -> tuple[bytes, int | None]:
    """What to write for an order; a long one goes through memory, to be kept open until it is taken."""
    dump = order.dump()
    if len(dump) < _MAX_PACKET:
        return b"=" + dump, None
    memory = os.memfd_create("order")
    with open(memory, "wb", closefd=False) as file:
        file.write(dump)
    return b"@/proc/%d/fd/%d" % (os.getpid(), memory), memory


def unpack(data: bytes) -> Order:
    """The order in a packet. Raises OSError when its memory is gone, and with it the launcher."""
    if data.startswith(b"@"):
        with open(data[1:], "rb") as file:
            return Order.load(file.read())
    return Order.load(data[1:])


def rehearse(state: str) -> None:
    """Start and forget some runs, in this process: the interpreter adapts code by writing to it (PEP 659).

    What is adapted before the fork need not be adapted by each holder anew, on pages of its own.
    """
    folder = f"{state}/rehearsal"
    about: Message = {"run_id": "rehearsal", "dir": folder, "cwd": "/", "log": f"{folder}/log", "note": "r"}
    order = Order(about | {"argv": ["/bin/echo", "r"], "env": {"PATH": "/bin"}})
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for _ in range(_REHEARSALS):
            records.clear(folder)
            os.mkdir(folder)
            system.become_subreaper()
            run = begin.begin(unpack(packet(order)[0]), null)
            if run is not None:
                run.watch()
        records.clear(folder)
    except OSError:  # a full disk, say: the runs will tell
        pass
    os.close(null)


def fill_pools() -> list[bytes]:
    """Keep what this returns: it fills the gaps in Python's pools of small blocks.

    A block in a gap costs a holder two old pages to copy, that of the block and that of its pool's head; a
    first block costs one.
    """
    ballast: list[bytes] = []
    for size in range(1, 480, 16):
        for _ in range(_MOST_GAPS):
            block = bytes(size)
            if id(block) % _POOL == _POOL_HEAD:
                break  # the first of its pool; both are given back
            ballast.append(block)
    return ballast


class Nursery:
    """The nursery's loop.

    It and its holders report by packets: a JSON object each, that names a `pid` or a `run_id`.
    """

    def __init__(self, orders: int, reports: int) -> None:
        """To be made in the nursery's own process."""
        system.close_all_but(orders, reports)
        system.become_subreaper()
        os.umask(0o077)
        self._orders = orders
        self._reports = reports
        self._untold: list[bytes] = []
        self._tokens, self._token = os.pipe()
        os.set_blocking(self._tokens, False)
        self._holders: set[int] = set()
        self._blanks: set[int] = set()
        self._orphans = False
        self._ill = False
        self._pause = Pause()
        ear.open(system.take_signals(*HEARD))
        self._signals = system.take_signals(signal.SIGCHLD)
        self._name = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
        os.write(self._name, b"ra-nursery")
        self._foreign = (self._tokens, self._signals, self._name)  # what is not for holders
        self._poll = select.poll()
        self._poll.register(self._tokens, select.POLLIN)
        self._poll.register(self._signals, select.POLLIN)

    def run(self) -> None:
        """Until the launcher is gone."""
        while True:
            self._fill()
            wake = self._end_orphans()
            if self._ill:  # blanks die: do not fork them as fast as that
                self._ill = False
                wake = 100.0
            for descriptor, events in self._poll.poll(wake):
                if descriptor == self._tokens:
                    self._take_tokens()
                elif descriptor == self._signals:
                    os.read(self._signals, 4096)
                    self._reap()
                elif events & select.POLLHUP:
                    return

    def _take_tokens(self) -> None:
        """Each is the pid of a blank that has got an order."""
        try:
            data = os.read(self._tokens, 4096)
        except BlockingIOError:
            return
        for start in range(0, len(data), 4):
            self._blanks.discard(int.from_bytes(data[start : start + 4], "little"))

    def _fill(self) -> None:
        """Have blanks ready. When even the last of them cannot be forked, refuse what would wait for it."""
        try:
            while len(self._blanks) < BLANKS and not self._ill:
                os.write(self._name, b"ra-holder")  # which they inherit
                pid = os.fork()
                if pid == 0:
                    _be_blank(self._orders, self._reports, self._token, *self._foreign)
                os.write(self._name, b"ra-nursery")
                self._blanks.add(pid)
                self._holders.add(pid)
        except OSError as error:
            if not self._blanks:
                self._refuse(error)
        # The launcher's hang-up always; its orders only while there is nobody else to take them.
        self._poll.register(self._orders, 0 if self._blanks else select.POLLIN)

    def _refuse(self, error: OSError) -> None:
        if select.select([self._orders], (), (), 0)[0] and (data := os.read(self._orders, _MAX_PACKET)):
            order = unpack(data)
            reason = explain("fork", error, order)[1]
            self._tell(json.dumps({"run_id": order.run_id, "reason": reason}).encode())

    def _tell(self, packet: bytes) -> None:
        self._untold.append(packet)
        try:
            while self._untold:
                os.write(self._reports, self._untold[0])
                del self._untold[0]
        except OSError:  # the launcher stands still; told with the next
            pass

    def _reap(self) -> None:
        if self._orphans:
            procs.kill_round(self._holders)  # before reaping, see there
        self._take_tokens()
        try:
            while (dead := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = dead
                if pid in self._holders:
                    self._holders.discard(pid)
                    if pid in self._blanks:
                        self._blanks.discard(pid)
                        self._ill = True
                    self._tell(b'{"pid":%d,"died":%d}' % (pid, status))
                    self._orphans = self._orphans or status != 0
                    self._pause = Pause()
        except ChildProcessError:
            pass

    def _end_orphans(self) -> float | None:
        """Kill what killed holders held. Returns milliseconds until it is to be called again, if it is."""
        if not self._orphans:
            return None
        if procs.kill_round(self._holders):
            now = time.monotonic()
            return (self._pause.after(now) - now) * 1000
        self._orphans = False
        return None


def _live(state: str, orders: int, reports: int) -> "NoReturn":
    """In the nursery's process."""
    code = 70
    try:
        nursery = Nursery(orders, reports)
        rehearse(state)
        ballast = fill_pools()
        nursery.run()
        del ballast
        code = 0
    except BaseException as error:  # noqa: BLE001 - a forked process must not return into its parent's code
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(code)


def _be_blank(orders: int, reports: int, token: int, *foreign: int) -> "NoReturn":
    """In a holder's process: wait for an order, and hold its run."""
    code = 70
    try:
        order = _receive(orders, reports, token, foreign)
        if order is not None:
            begin.hold(order, reports)
        code = 0
    except BaseException as error:  # noqa: BLE001 - a forked process must not return into its parent's code
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(code)


def _receive(orders: int, reports: int, token: int, foreign: tuple[int, ...]) -> Order | None:
    """Be a holder without a run until there is one; None if the launcher went away instead."""
    _setsid()
    _become_subreaper()
    for descriptor in foreign:
        _close(descriptor)
    me = _getpid()
    own = records.holder_part(me)
    data = _read(orders, _MAX_PACKET)
    if not data:
        return None
    _write(token, me.to_bytes(4, "little"))
    order = unpack(data)
    if order.secrets_in:  # now: once it is taken, they are nobody's
        order.hidden = os.open(order.secrets_in, os.O_RDONLY | os.O_CLOEXEC)
    _write(reports, b'{"pid":%d,"run_id":%b,"taken":1}' % (me, order.quoted_id))
    order.opening += own
    _close(token)
    _close(orders)
    return order
