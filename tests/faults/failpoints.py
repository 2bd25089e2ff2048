"""Failpoints: every effect of agent, launcher and holder on the world, by name, and a way to fail there.

A crash matters only between two effects: what happens in memory in between is lost either way. So a point is
the moment before or after a function of ours that writes, syncs, renames, spawns or signals. The points are
put around those functions from here, in programs that tests start; the product has none of it
(docs/decisions/0016). A function that is renamed breaks this list, and its tests say so.

    FAILPOINTS="holder.claim.after=die@1,store.commit.before=error:FULL@3,launcher.answer.before=delay:0.2@1"

`die` is SIGKILL to the process itself; `error` raises what the kernel would; `delay` is seconds. `@N`: the
Nth time that any process of the agent gets there. FAILPOINTS_HITS names a file that gets a line for each.
Standard library only, and no typing at run time: it also runs in the launcher.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import signal
import sys
import time
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

PLAN, HITS = "FAILPOINTS", "FAILPOINTS_HITS"
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120

_ROOM = ("ENOSPC", "EIO")
_STORE = ("FULL", "IOERR")

DAEMON: dict[str, tuple[str, tuple[str, ...]]] = {
    "lock": ("runner_agent.daemon.files:StateLock.acquire", ()),
    "store.open": ("runner_agent.store.sqlite:open_database", ()),
    "store.rows": ("runner_agent.store.sqlite_writer:write_rows", _STORE),
    "store.commit": ("runner_agent.store.sqlite_writer:WriterLane._commit", _STORE),
    "store.sync": ("os:fdatasync", ("EIO",)),
    "store.close": ("runner_agent.store.sqlite_writer:WriterLane._close", ()),
    "store.seal": ("runner_agent.store.sqlite:seal", ()),
    "identity": ("runner_agent.daemon.identity:write_atomically", ()),
    "agent_file": ("runner_agent.daemon.agent:write_agent_file", ()),
    "agent_file.removal": ("runner_agent.daemon.agent:remove_agent_file", ()),
    "note": ("runner_agent.reconcile.notes:Notes.write", ()),
    "evidence": ("runner_agent.reconcile.evidence:Evidence.prepare", _ROOM),
    "evidence.clean": ("runner_agent.reconcile.evidence:Evidence.clean", ()),
    "output": ("runner_agent.reconcile.life:Life._on_output", ()),
    "start": ("runner_agent.executors.machine:MachineExecutor.start", ()),
    "find": ("runner_agent.executors.machine:MachineExecutor.find", ()),
    "clean": ("runner_agent.executors.machine:MachineExecutor.clean", ()),
    "clean.folders": ("runner_agent.executors.sweeper:_clear", ()),
    "signal": ("runner_agent.executors.holders:Holder.signal", ("EPERM",)),
    "launcher.hello": ("runner_agent.executors.launcher_link:LauncherLink._hello", ()),
    "launcher.spawn": ("runner_agent.executors.launcher_link:LauncherLink._start_launcher", ()),
    "launcher.end": ("runner_agent.executors.machine:MachineExecutor.stop_launcher", ()),
    "firing": ("runner_agent.control.triggers:TriggerControl.fire", ()),
    "prebuild.step": ("runner_agent.daemon.prebuild:Conductor._next", ()),
    "prebuild.move": ("runner_agent.control.prebuild:PrebuildControl.move", ()),
    "prebuild.clean": ("runner_agent.daemon.prebuild:Conductor._clean", ()),
    "cap": ("runner_agent.logs.cap:punch", ("EIO",)),
    "anew.keep": ("runner_agent.daemon.agent:Agent.give_way", ()),
    "anew.hand_over": ("runner_agent.daemon.run:hand_over", ()),
    "anew.exec": ("os:execv", ()),
}
"""Point -> what it stands around, and the errors that it can end with."""

LAUNCHER: dict[str, tuple[str, tuple[str, ...]]] = {
    "launcher.listen": ("runner_agent.launcher.main:_listen", ()),
    "launcher.greeted": ("runner_agent.launcher.server:Server._hello", ()),
    "launcher.order": ("runner_agent.launcher.runs:Runs._order", ()),
    "launcher.tombstone": ("runner_agent.launcher.records:tombstone", _ROOM),
    "launcher.settle": ("runner_agent.launcher.runs:Runs._settle", ()),
    "launcher.bury": ("runner_agent.launcher.runs:Runs._bury", ()),
    "launcher.answer": ("runner_agent.launcher.server:Connection.say", ()),
}
NURSERY: dict[str, tuple[str, tuple[str, ...]]] = {
    "nursery.fork": ("os:fork", ("EAGAIN", "ENOMEM")),
    "nursery.fill": ("runner_agent.launcher.nursery:Nursery._fill", ()),
    "nursery.reap": ("runner_agent.launcher.nursery:Nursery._reap", ()),
}
HOLDER: dict[str, tuple[str, tuple[str, ...]]] = {
    "holder.hold": ("runner_agent.launcher.begin:hold", ()),
    "holder.log": ("runner_agent.launcher.loglines:open_log", _ROOM),
    "holder.claim": ("runner_agent.launcher.records:claim", _ROOM),
    "holder.link": ("os:link", _ROOM),
    "holder.spawn": ("os:posix_spawn", ("EAGAIN", "ENOMEM")),
    "holder.add": ("runner_agent.launcher.records:add", ()),
    "holder.terminate": ("runner_agent.launcher.holder:Holder._terminate", ()),
    "holder.reap": ("runner_agent.launcher.holder:Holder._reap", ()),
    "holder.account": ("runner_agent.launcher.holder:Holder._account", ()),
    "holder.ended": ("runner_agent.launcher.records:end", ()),
    "holder.goodbye": ("runner_agent.launcher.holder:Holder._say_goodbye", ()),
    "holder.kill": ("runner_agent.launcher.procs:kill_round", ()),
    "holder.close": ("runner_agent.launcher.copier:Copier.close", ()),
}
ROLES = {"daemon": DAEMON, "launcher": LAUNCHER, "nursery": NURSERY, "holder": HOLDER}
NO_AFTER = frozenset({"anew.exec"})
"""Where there is no afterwards."""

_SQLITE = {"FULL": "database or disk is full", "IOERR": "disk I/O error"}


class Act:
    """What is to happen at one point."""

    __slots__ = ("kind", "number", "point", "value")

    def __init__(self, text: str) -> None:
        """`POINT=KIND[:VALUE][@N]`. Raises ValueError saying what is wrong."""
        self.point, found, what = text.partition("=")
        what, _, number = what.partition("@")
        self.kind, _, self.value = what.partition(":")
        if not found or self.point not in points() or self.kind not in ("die", "error", "delay"):
            raise ValueError(f"{text!r} is no failpoint: POINT=die|error:NAME|delay:SECONDS, then @N")
        self.number = int(number or "1")


def points() -> dict[str, str]:
    """Every point, and which process has it."""
    return {
        f"{name}.{side}": role
        for role, places in ROLES.items()
        for name in places
        for side in ("before", "after")
        if side == "before" or name not in NO_AFTER
    }


def errors() -> dict[str, tuple[str, ...]]:
    """Those that can end with an error, which comes instead of the effect."""
    return {f"{name}.before": row[1] for places in ROLES.values() for name, row in places.items() if row[1]}


class Here:
    """This process: which it is, and what is planned."""

    def __init__(self) -> None:
        """Read from the environment."""
        self.role = ""
        self.acts = [Act(one) for one in os.environ.get(PLAN, "").split(",") if one]
        self.hits = os.environ.get(HITS, "")

    def reach(self, role: str, point: str) -> None:
        """Do what is planned."""
        if role != self.role or not self.hits:
            return
        number = self._count(point)
        for act in self.acts:
            if act.point == point and act.number == number:
                _do(act)

    def _count(self, point: str) -> int:
        """How many have come here by now, in all processes, this one included."""
        file = os.open(self.hits, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(file, f"{point}\n".encode())
            return os.pread(file, 1 << 24, 0).decode().split("\n").count(point)
        finally:
            os.close(file)


here = Here()


def _do(act: Act) -> None:
    if act.kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)  # a thread may go on for a moment
    elif act.kind == "delay":
        time.sleep(float(act.value))
    elif act.value in _SQLITE:
        import sqlite3

        failure = sqlite3.OperationalError(_SQLITE[act.value])
        failure.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{act.value}")
        raise failure
    else:
        number = getattr(errno, act.value)
        raise OSError(number, os.strerror(number))


def install(role: str) -> None:
    """Stand around all functions of a process of this role. Raises AttributeError for one that is gone."""
    for name, (place, _) in ROLES[role].items():
        owner, last = find(place)
        real = getattr(owner, last)
        coroutine = getattr(getattr(real, "__code__", None), "co_flags", 0) & 0x80
        setattr(owner, last, (_around_coroutine if coroutine else _around)(role, name, real))


def find(place: str) -> tuple[Any, str]:
    """Who has it, and by which name."""
    module, _, path = place.partition(":")
    owner: Any = import_module(module)
    *above, last = path.split(".")
    for part in above:
        owner = getattr(owner, part)
    getattr(owner, last)
    return owner, last


def _around(role: str, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def around(*given: Any, **more: Any) -> Any:
        here.reach(role, f"{name}.before")
        result = real(*given, **more)
        if name not in NO_AFTER:
            here.reach(role, f"{name}.after")
        return result

    return around


def _around_coroutine(role: str, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    async def around(*given: Any, **more: Any) -> Any:
        here.reach(role, f"{name}.before")
        result = await real(*given, **more)
        here.reach(role, f"{name}.after")
        return result

    return around


# ---------------------------------------------------------------- the programs


def daemon() -> NoReturn:
    """`runner-agent`, with its launcher and holders, all with points."""
    lean: Any = import_module("runner_agent.daemon.lean")
    lean._import_structlog()  # as it starts by itself
    lean._import_uvicorn()
    import_module("runner_agent.daemon.run")
    install("daemon")
    here.role = "daemon"
    wire: Any = import_module("runner_agent.launcher.wire")
    wire.command = launcher_command
    import_module("runner_agent.cli.main").main()
    raise AssertionError


def launcher_command(python: str, source: str, state: str) -> list[str]:
    """As `wire.command`, through here."""
    code = (
        "import sys; sys.path += [sys.argv[1], sys.argv[3]]; del sys.argv[3];"
        "from tests.faults import failpoints; failpoints.launcher()"
    )
    return [python, "-I", "-S", "-X", "utf8", "-c", code, source, state, TREE]


def launcher() -> None:
    """The launcher's program. A process is what it has become by fork: nursery, then holder."""
    main: Any = import_module("runner_agent.launcher.main")
    nursery: Any = import_module("runner_agent.launcher.nursery")
    for role in ("launcher", "nursery", "holder"):
        install(role)
    run, receive = nursery.Nursery.run, nursery._receive

    def become_nursery(self: object) -> Any:
        here.role = "nursery"  # not before: its rehearsals are no runs
        return run(self)

    def become_holder(*given: Any) -> Any:
        here.role = ""
        order = receive(*given)
        here.role = "holder"
        return order

    nursery.Nursery.run, nursery._receive = become_nursery, become_holder
    live = nursery._live

    def become_nobody(*given: Any) -> Any:
        here.role = ""
        return live(*given)

    nursery._live = become_nobody
    here.role = "launcher"
    main.main()


if __name__ == "__main__":
    sys.path[:0] = [TREE, os.path.join(TREE, "src")]  # noqa: PTH118  the product that is beside it
    sys.modules["tests.faults.failpoints"] = sys.modules["__main__"]
    daemon()
