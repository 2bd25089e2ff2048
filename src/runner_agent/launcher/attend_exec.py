"""The attendant of a command in somebody else's container: has the Engine start it there, and stays by it.

The holder that started us holds the run; we are its leader. The command begins behind a gate, a shell that
waits for a word on its stdin: by then it is known by pid, verified, and in a cgroup of its own. Its output
goes to the holder by a FIFO inside the container, past the Engine, and its end is seen by pidfd: an Engine
that restarts meanwhile costs nothing.
"""

import os
import select
import signal
import socket
import time

from runner_agent.launcher import attend, records
from runner_agent.launcher.bury import bury
from runner_agent.launcher.cage import Cage
from runner_agent.launcher.engine import Away, Engine, Refusal, number_of
from runner_agent.launcher.gate import GO, PIPE, SCRIPT, CannotAttend, Task, at_gate
from runner_agent.launcher.inside import Inside
from runner_agent.launcher.mirror import Mirror
from runner_agent.launcher.watched import Watched
from runner_agent.launcher.wire import Message

HELD, WORD = "held", "word"
"""In the run's folder: what is held of it once it begins, and a FIFO that is hung up then or when it never
will.
"""

_TELLING = 10.0
"""Seconds for the Engine to know of a process that it has started, or that has ended."""
_LOOK = 0.1
"""Seconds between two looks where nothing tells of changes."""


def main(folder: str) -> None:
    """An attendant's life, for the run whose folder this is."""
    wishes = attend.Wishes()
    with open("/proc/self/comm", "wb") as name:
        name.write(b"ra-exec")
    attendant = Attendant(Task(folder), folder, wishes)
    attend.until_over(attendant.until_ended, attendant.until_empty, folder)


class Attendant:
    """One command, from its gate to the last of what it left behind."""

    def __init__(self, task: Task, folder: str, wishes: attend.Wishes) -> None:
        """Nothing is begun yet."""
        self._task = task
        self._folder = folder
        self._wishes = wishes
        self._poll = select.poll()
        self._poll.register(wishes.ear, select.POLLIN)
        self._cage = Cage(task.run_id)
        self._terminated = False
        self._leader: Watched | None = None
        self._mirror: Mirror | None = None
        self._exec = ""
        try:
            self._word = os.open(f"{folder}/{WORD}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # whoever would have listened is gone
            self._word = -1

    def until_ended(self) -> Message:
        """How the command ended, or why it never began."""
        task = self._task
        try:
            init = Watched(task.init, task.init_start)
            inside = Inside(task.init)
        except OSError:
            return _not_started(f"{task.name} stopped just now")
        try:
            place = inside.open(task.place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            return self._attend(init, place)
        except (CannotAttend, Refusal, Away) as error:
            return _not_started(str(error))
        except OSError as error:
            what = error.filename or task.place
            return _not_started(f"{what} cannot be used: {(error.strerror or str(error)).lower()}")

    def until_empty(self) -> None:
        """Until nothing of it is left."""
        task = self._task
        bury(self._cage, task.title, task.grace, self._wishes, self._wait)
        if self._mirror is not None:
            self._mirror.copy()
        self._cage.remove()
        self._clear_away()

    def _attend(self, init: Watched, place: int) -> Message:
        self._exec, line = at_gate(self._task)
        leader = self._found()
        self._cage.close_around(leader.pid)
        records.write(self._folder, HELD, {"cgroup": self._cage.path})
        self._hand_over(leader, place)
        self._mirror = Mirror(place, self._task.output, self._task.target)
        if self._mirror.descriptor >= 0:
            self._poll.register(self._mirror.descriptor, select.POLLIN)
        self._leader = leader
        self._obey()
        if not self._terminated and not self._wishes.kill:
            line.sendall(GO)
        self._hang_up()
        line.shutdown(socket.SHUT_WR)
        self._poll.register(leader.descriptor, select.POLLIN)
        while not leader.over():
            self._wait(_LOOK if self._wishes.kill else None)  # until it dies of it
        self._poll.unregister(leader.descriptor)
        self._mirror.copy()
        line.close()
        return self._ending(leader, init)

    # ------------------------------------------------------------ the beginning

    def _found(self) -> Watched:
        """The process behind the gate, as this machine knows it. Raises CannotAttend, Away, Refusal."""
        pid = self._told("Pid", unless=0)
        mark = f"RUNNER_AGENT_RUN_ID={self._task.run_id}".encode()
        try:
            found = Watched(pid)
        except OSError:
            raise CannotAttend("it went away before it began") from None
        if not found.carries(mark):  # looked at while pinned
            raise CannotAttend(
                "its process cannot be seen from here: the Docker Engine must run on this machine, and the"
                " agent as root or as the user of the dev container"
            )
        return found

    def _told(self, field: str, *, unless: object) -> int:
        """What the Engine knows of the command, once that is other than `unless`. Raises Away, Refusal."""
        engine = Engine(self._task.engine)
        end = time.monotonic() + _TELLING
        pause = 0.005
        while True:
            told = engine.ask("GET", f"/exec/{self._exec}/json").get(field)
            if told not in (unless, None) or time.monotonic() > end:
                return number_of(told or 0, field)
            time.sleep(pause)
            pause = min(2 * pause, 0.25)

    def _hand_over(self, leader: Watched, place: int) -> None:
        """The folder belongs to the command's user from now on, whom only the process itself can tell."""
        owner = os.stat(f"/proc/{leader.pid}")
        for name in (PIPE, SCRIPT, self._task.output):
            os.chown(name, owner.st_uid, owner.st_gid, dir_fd=place, follow_symlinks=False)
        os.fchown(place, owner.st_uid, owner.st_gid)

    def _hang_up(self) -> None:
        if self._word >= 0:
            os.close(self._word)
            self._word = -1

    # ------------------------------------------------------------ waiting

    def _wait(self, limit: float | None, events: int = -1) -> None:
        """So many seconds at most for anything that happens, and do what it asks for."""
        if events >= 0:
            self._poll.register(events, select.POLLPRI)
        if self._mirror is not None and self._mirror.descriptor < 0:
            limit = _LOOK if limit is None else min(limit, _LOOK)
        self._poll.poll(None if limit is None else limit * 1000)
        if events >= 0:
            self._poll.unregister(events)
            os.pread(events, 64, 0)  # until it is read it has news
        self._wishes.heard()
        self._obey()
        if self._mirror is not None:
            self._mirror.copy()

    def _obey(self) -> None:
        leader = self._leader
        if self._wishes.terminate:
            self._wishes.terminate = False
            self._terminated = True
            if leader is not None:
                leader.signal_group(signal.SIGTERM, signal.SIGCONT)
        if self._wishes.kill and leader is not None and not leader.over():
            self._cage.kill()

    # ------------------------------------------------------------ the end

    def _ending(self, leader: Watched, init: Watched) -> Message:
        """How the command ended, from who knows it best."""
        status = leader.status()
        told: Message
        if status is None:
            try:
                self._told("Running", unless=True)
                told = attend.ended_by(self._told("ExitCode", unless=None))
            except (Away, Refusal) as error:
                return {"how": "lost", "reason": f"how it ended is unknown: {error}"}
        elif os.WIFSIGNALED(status):
            told = {"how": "signaled", "signal": os.WTERMSIG(status)}
        else:
            told = {"how": "exited", "code": os.WEXITSTATUS(status)}
        killed = told.get("signal") == signal.SIGKILL and not self._wishes.kill
        if killed and init.going():
            return {"how": "lost", "reason": f"{self._task.name} stopped"}
        return told

    def _clear_away(self) -> None:
        """The command's folder; with the container it is gone by itself."""
        try:
            inside = Inside(self._task.init)
            inside.remove_folder(self._task.place)
            inside.close()
        except OSError:
            pass


def _not_started(reason: str) -> Message:
    return {"how": "not_started", "reason": reason}
