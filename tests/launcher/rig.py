"""A launcher of a test's own, a blocking client for it, and the runs it starts."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import cast

import runner_agent
from runner_agent.launcher import procs, records, wire
from tests.support.processes import wait_until

SOURCE = str(Path(runner_agent.__file__).parent.parent)
BASH = "/bin/bash"
Fields = dict[str, object]


class Failed(Exception):
    """An answer with an error."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


class Client:
    """One connection, one request at a time unless `send` and `receive` are used apart."""

    def __init__(self, state: Path, *, epoch: int | None = 1) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        wire.reach(self.sock.connect, str(state))
        self._frames = wire.Frames()
        self._arrived: list[wire.Message] = []
        self._number = 0
        self.launcher_pid = int(
            struct.unpack("3i", self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        )
        if epoch is not None:
            self.call("hello", epoch=epoch, pid=os.getpid())

    def send(self, op: str, **fields: object) -> int:
        self._number += 1
        self.sock.sendall(wire.encode({"v": wire.VERSION, "id": self._number, "op": op, **fields}))
        return self._number

    def receive(self) -> wire.Message:
        """The next message. Raises EOFError when the launcher hung up."""
        while not self._arrived:
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            self._arrived += self._frames.feed(data)
        return self._arrived.pop(0)

    def call(self, op: str, **fields: object) -> Fields:
        number = self.send(op, **fields)
        message = self.receive()
        assert message["id"] == number
        return result(message)

    def close(self) -> None:
        self.sock.close()


def result(message: wire.Message) -> Fields:
    """What a message answers. Raises Failed for an error."""
    if "error" in message:
        error = cast("dict[str, str]", message["error"])
        raise Failed(error["code"], error["message"])
    return cast("Fields", message["ok"])


class Run:
    """A run by its folder and handle alone, as a later agent knows it."""

    def __init__(self, folder: Path, handle: Fields) -> None:
        self.folder, self.handle = folder, handle
        self.holder = int(cast("int", handle["holder_pid"]))
        self.leader = int(cast("int", handle["leader_pid"]))

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def written(self) -> list[str]:
        """The command's own lines."""
        return [line for line in self.log.splitlines() if not line.startswith("runner-agent: ")]

    @property
    def notes(self) -> list[str]:
        """The agent's lines."""
        mark = "runner-agent: "
        return [line.removeprefix(mark) for line in self.log.splitlines() if line.startswith(mark)]

    def go_on(self) -> None:
        """Behind its gate."""
        (self.folder / "go").touch()

    def signal(self, control: int) -> None:
        """Tell the holder, which is verified."""
        procs.send(self.holder, int(cast("int", self.handle["holder_start"])), signal.SIGRTMIN + control)

    @property
    def held(self) -> bool:
        found = procs.look(self.holder)
        return found is not None and found.start == self.handle["holder_start"] and not found.zombie

    def ended(self, timeout: float = 60.0) -> Fields:
        """What the record says of the command's end, once it is there."""
        wait_until(lambda: records.ENDED in self.record or not self.held, timeout, what="the end")
        assert records.ENDED in self.record, "the holder died without a record"
        return cast("Fields", self.record[records.ENDED])

    @property
    def record(self) -> Fields:
        return records.read(str(self.folder)) or {}

    def wait_gone(self, timeout: float = 60.0) -> None:
        """Until the holder is dead, waited for by pidfd, so that this returns at once when it is."""
        try:
            pinned = os.pidfd_open(self.holder)
        except ProcessLookupError:
            return
        try:
            if self.held:
                waiter = select.poll()
                waiter.register(pinned, select.POLLIN)
                assert waiter.poll(timeout * 1000), f"still held after {timeout} s; log: {self.log}"
        finally:
            os.close(pinned)


GATE = "until [ -e go ]; do sleep 0.01; done"
"""A script that goes on once its test has made this file in the run's folder, see `Run.go_on`."""


class Rig:
    """A state folder with its launcher."""

    def __init__(self, state: Path, *, cgroups: Path | None = None, boot: bool = True) -> None:
        self.state = state
        self.cgroups = cgroups
        self._runs = 0
        if boot:
            self.boot()
        self.client = Client(state)

    def boot(self) -> None:
        started = subprocess.run(
            wire.command(sys.executable, SOURCE, str(self.state)),
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        assert started.returncode == 0, started.stderr

    @property
    def launcher_pid(self) -> int:
        return self.client.launcher_pid

    def nursery(self) -> procs.Proc:
        return next(p for p in procs.descendants(self.launcher_pid) if p.parent == self.launcher_pid)

    def order(self, script: str = "exit 0", **changes: object) -> Fields:
        """A start request, its folder made."""
        self._runs += 1
        name = f"run{self._runs}"
        folder = self.state / name
        folder.mkdir()
        return {
            "run_id": name,
            "dir": str(folder),
            "argv": [BASH, "-c", script],
            "env": {"PATH": os.environ["PATH"], "RUNNER_AGENT_RUN_ID": name},
            "cwd": str(folder),
            "log": str(folder / "log"),
            "title": "start",
            "note": "",
            "leftover_grace": 0.2,
            "cgroup": str(self.cgroups / name) if self.cgroups else None,
            **changes,
        }

    def start(self, script: str = "exit 0", **changes: object) -> Run:
        order = self.order(script, **changes)
        return Run(Path(str(order["dir"])), self.client.call("start", **order))

    def refused(self, script: str = "exit 0", **changes: object) -> Failed:
        """Start what cannot be started."""
        order = self.order(script, **changes)
        try:
            self.client.call("start", **order)
        except Failed as failed:
            return failed
        raise AssertionError("it was started")

    def kill_launcher(self) -> None:
        """SIGKILL, and wait until it is gone; the nursery follows."""
        nursery = self.nursery().pid
        os.kill(self.launcher_pid, signal.SIGKILL)
        for pid in (self.launcher_pid, nursery):
            wait_dead(pid)

    def close(self) -> None:
        self.client.close()


def wait_dead(pid: int) -> None:
    """Until there is no such process, or only its zombie."""
    wait_until(lambda: not (found := procs.look(pid)) or found.zombie, what=f"the end of {pid}")


def cgroup2() -> Path | None:
    """Where cgroup v2 is mounted and writable for us, if it is."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(f"{place}/cgroup.procs", os.W_OK):
            return Path(place)
    return None
