"""A container's processes as its host sees them: who is in there, and signals to them.

Everything in a container descends from its init, orphans included; what the Engine has executed in it from
outside does not. Its init takes all with it when it dies: the kernel sees to that.
"""

import os
import select
import signal
import socket

from runner_agent.launcher import freezer, procs
from runner_agent.launcher.engine import Away, Engine, Refusal, lives, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner_agent.launcher.wire import Message

_ROUNDS = 5
_SOON = 10.0


class Inmate:
    """Who lives in the container `id_`. Unseen, or another user's, it is reached through the Engine only."""

    def __init__(self, id_: str, pid: int, engine: Engine, poll: select.poll) -> None:
        """`pid` is its init's, 0 if it is over already. `poll` gets to know what tells its death."""
        self._engine, self._poll = engine, poll
        self._path = f"/containers/{id_}"
        self._init = _pin(pid, id_) if pid else None
        self._pidfd = -1
        self._waiting: socket.socket | None = None
        self._answer = b""
        self._over = pid == 0
        self._permitted = False
        if self._init is not None:
            self._pidfd = os.pidfd_open(self._init.pid)
            self._permitted = _may_signal(self._init)
            poll.register(self._pidfd, select.POLLIN)
        elif not self._over:
            self._ask_to_be_told()

    def record(self) -> "Message":
        """Where to look for survivors."""
        if self._init is None:
            return {"init": 0, "start": 0}
        return {"init": self._init.pid, "start": self._init.start}

    def dead(self) -> bool:
        """Is nothing of it left?"""
        if self._over:
            return True
        if self._init is not None:
            self._over = bool(select.select([self._pidfd], (), (), 0)[0])
            if self._over:
                self._poll.unregister(self._pidfd)
        elif self._waiting is None or self._told():
            self._over = not self._runs()
            self._hang_up()
            if not self._over:
                self._ask_to_be_told()
        return self._over

    @property
    def restless(self) -> bool:
        """Is there nothing that would wake us at its death?"""
        return self._init is None and self._waiting is None and not self._over

    def left(self) -> "list[procs.Proc]":
        """Those besides its init and the script that serves the box, as far as can be seen."""
        if self._init is None or self._over:
            return []
        return inhabitants(self._init.pid)

    def terminate(self) -> bool:
        """SIGTERM to the group of the script, which is the command's; False if it must be tried again."""
        if not self._permitted or self._init is None:
            return self._through_engine("TERM")
        done: set[int] = set()
        for _ in range(_ROUNDS):  # of those that forked while we looked, the child too
            family = procs.descendants(self._init.pid)
            group = script_of(self._init.pid, family)  # which leads it
            fresh = [proc for proc in family if proc.group == group and proc.pid not in done]
            if not fresh:
                break
            procs.send_all(fresh, signal.SIGTERM, signal.SIGCONT)
            done.update(proc.pid for proc in fresh)
        return True

    def kill(self) -> None:
        """SIGKILL to its init, and so to all, frozen or not; try again until it is dead."""
        if not self._permitted or self._init is None:
            self._through_engine("KILL")
            return
        if procs.send(self._init.pid, self._init.start, signal.SIGKILL):
            freezer.release_all(self._init.pid)
            if freezer.frozen(self._init.pid):
                self._through_engine("KILL")

    def resume(self) -> bool:
        """Let it go on if it is paused: it is to end, and may clean up before. False if it was not."""
        if self._init is None or not self._permitted or not freezer.frozen(self._init.pid):
            return False  # where the Engine passes signals on, it sees to that
        self._unpause()
        return True

    def out_of_memory(self) -> bool:
        """Has the kernel killed in there for lack of memory? An Engine says so only when all is over."""
        if self._init is None:
            return False
        for line in _read(f"/proc/{self._init.pid}/cgroup").splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds in ("", "memory"):  # of the second version, or the first
                for file in (f"{path}/memory.events", f"/memory{path}/memory.oom_control"):
                    counts = [item.split() for item in _read(f"/sys/fs/cgroup{file}").splitlines()]
                    if any(count[0] == "oom_kill" and count[1] != "0" for count in counts):
                        return True
        return False

    def _through_engine(self, name: str) -> bool:
        """Its init hands SIGTERM on to the group."""
        try:
            self._engine.ask("POST", f"{self._path}/kill?signal={name}", within=_SOON)
        except Refusal as refusal:
            if "paused" in refusal.text.lower():  # Podman's word; Docker lets go of it by itself
                self._unpause()
                return False
            return True  # it does not run
        except Away:
            return False
        return True

    def _unpause(self) -> None:
        try:
            self._engine.ask("POST", f"{self._path}/unpause", within=_SOON)
        except (Refusal, Away):  # its deadline will come
            pass

    def _runs(self) -> bool:
        """Raises nothing: an Engine that is away, or not understood, has not said that it does not."""
        try:
            return lives(state_of(self._engine.ask("GET", f"{self._path}/json", within=_SOON)))
        except Refusal as refusal:
            return refusal.status != 404
        except Away:
            return True

    def _ask_to_be_told(self) -> None:
        try:
            self._waiting = self._engine.knock("POST", f"{self._path}/wait")
        except Away:
            return  # `dead` will ask
        self._answer = b""
        self._poll.register(self._waiting, select.POLLIN)

    def _told(self) -> bool:
        """Has the Engine answered more than that it heard us, or hung up?"""
        if self._waiting is None or not select.select([self._waiting], (), (), 0)[0]:
            return False
        try:
            part = self._waiting.recv(1 << 16)
        except OSError:
            return True
        self._answer += part
        return not part or bool(self._answer.partition(b"\r\n\r\n")[2])

    def _hang_up(self) -> None:
        if self._waiting is not None:
            self._poll.unregister(self._waiting)
            self._waiting.close()
        self._waiting = None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def inhabitants(init: int) -> "list[procs.Proc]":
    """All below an init but the script that serves the box."""
    family = procs.descendants(init)
    script = script_of(init, family)
    return [proc for proc in family if not proc.zombie and proc.pid != script]


def script_of(init: int, family: "list[procs.Proc]") -> int:
    """The pid of the script: the first child that the init ever had."""
    children = [proc for proc in family if proc.parent == init]
    return min(children, key=lambda one: (one.start, one.pid)).pid if children else 0


def _pin(pid: int, id_: str) -> "procs.Proc | None":
    """The container's init, if the number means it here too: an agent may live in a container of its own."""
    found = procs.look(pid)
    try:
        with open(f"/proc/{pid}/cgroup", "rb") as file:
            known = id_.encode() in file.read()
    except OSError:
        return None
    again = procs.look(pid)
    if known and found is not None and again is not None and found.start == again.start:
        return found
    return None


def _may_signal(proc: procs.Proc) -> bool:
    try:
        return procs.send(proc.pid, proc.start, 0)
    except PermissionError:
        return False
