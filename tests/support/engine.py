"""A Docker Engine of the tests' own: private data, socket and cgroups, and nothing left of it afterwards.

    python -m tests.support.engine     one to play with, until Ctrl-C or the end of stdin

An engine has a warden, a process that waits for its owner to let go of a pipe, also by dying, and then takes
all of it down: Engine, containerd, shims, containers, mounts, cgroups, files.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast
from urllib.parse import urlencode

from tests.support.images import image
from tests.support.processes import POLL, Process, end, everything, look, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

PROGRAMS = ("dockerd", "containerd", "busybox")
READY = 90.0
"""Seconds for an Engine to answer; it takes 0.5 to 2."""
_GIVE_UP = 20.0
_NAMES = ("dockerd", "containerd", "containerd-shim", "runc", "podman", "conmon")
Json = dict[str, object]


def missing() -> str:
    """What this machine lacks to run an Engine; "" for nothing."""
    if os.geteuid() != 0:
        return "a Docker Engine of the tests' own needs root"
    gone = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(gone)} not found: tests/support/install-engine installs them" if gone else ""


class EngineError(Exception):
    """What the Engine said to a request."""


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(slots=True)
class Engine:
    """One Engine below `root`. Closed, or its owner dead, nothing of it is left."""

    root: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="ra-engine-")))
    _dockerd: subprocess.Popen[bytes] | None = None
    _warden: subprocess.Popen[bytes] | None = None
    _images: set[str] = field(default_factory=set[str])

    @property
    def socket(self) -> Path:
        return self.root / "docker.sock"

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.socket}"

    @property
    def log(self) -> str:
        """What the Engine said, for a failure's sake."""
        path = self.root / "dockerd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # ------------------------------------------------------------ its life

    def start(self, *, live_restore: bool = True) -> None:
        """Start it and wait until it answers; with `live_restore` containers outlive it."""
        if self._warden is None:
            module = sys.modules[type(self).__module__].__spec__  # its name where it is run itself
            assert module is not None
            command = [sys.executable, "-m", module.name, "warden", str(self.root)]
            self._warden = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        with (self.root / "dockerd.log").open("ab") as log:
            self._dockerd = subprocess.Popen(
                self._command(live_restore=live_restore),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests
            )
        wait_until(self._answers, READY, f"an Engine at {self.host}")

    def stop(self) -> None:
        """SIGTERM to it, and wait for it and its containerd. Containers outlive it if it was started so."""
        assert self._dockerd is not None, "the Engine was not started"
        self._dockerd.terminate()
        self._dockerd.wait(READY)
        wait_until(lambda: not _daemons(self.root, "containerd"), READY, "containerd ends with its Engine")
        self._dockerd = None

    def crash(self) -> None:
        """SIGKILL to it and its containerd; containers outlive that."""
        assert self._dockerd is not None, "the Engine was not started"
        self._dockerd.kill()
        self._dockerd.wait(READY)
        end(_daemons(self.root, "containerd"))
        wait_until(lambda: not _daemons(self.root, "containerd"), READY, "containerd is gone")
        # A zombie that nobody has reaped yet would be taken for a containerd that lives.
        (self.root / "exec/containerd/containerd.pid").unlink(missing_ok=True)
        self._dockerd = None

    def restart(self, *, live_restore: bool = True) -> None:
        """Stop and start; `live_restore` is what the new one is started with."""
        self.stop()
        self.start(live_restore=live_restore)

    @property
    def running(self) -> bool:
        return self._dockerd is not None and self._dockerd.poll() is None

    def close(self) -> None:
        """All of it down and gone."""
        if self._warden is None:
            return
        assert self._warden.stdin is not None
        self._warden.stdin.close()
        code = self._warden.wait(READY)
        if self._dockerd is not None:
            self._dockerd.wait(READY)
        assert code == 0, f"the Engine's warden ended with {code}; look at {self.root}"

    def _command(self, *, live_restore: bool) -> list[str]:
        root = self.root
        (root / "docker.pid").unlink(missing_ok=True)
        (root / "daemon.json").write_text("{}\n")  # not the machine's
        return [
            "dockerd",
            *(
                "--data-root",
                f"{root}/data",
                "--exec-root",
                f"{root}/exec",
                "--pidfile",
                f"{root}/docker.pid",
            ),
            *("--config-file", f"{root}/daemon.json", "--host", self.host, "--group", "root"),
            *("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
            *("--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{root.name}"),
            f"--live-restore={str(live_restore).lower()}",
        ]

    def _answers(self) -> bool:
        assert self.running, f"dockerd ended:\n{self.log[-4000:]}"
        try:
            return self.request("GET", "/_ping")[1] == b"OK"
        except (OSError, EngineError):
            return False

    # ------------------------------------------------------------ what tests ask of it

    def request(
        self,
        method: str,
        path: str,
        body: Json | IO[bytes] | None = None,
        timeout: float = 60.0,
        login: str = "",
    ) -> tuple[int, bytes]:
        """Status and body. Raises EngineError with the Engine's words from status 400 on."""
        http = _UnixConnection(self.socket, timeout)
        try:
            data = json.dumps(body).encode() if isinstance(body, dict) else body
            kind = {"Content-Type": "application/json" if isinstance(body, dict) else "application/x-tar"}
            http.request(method, path, data, {**(kind if body is not None else {}), "X-Registry-Auth": login})
            answer = http.getresponse()
            told = answer.read()
            if answer.status >= 400:
                raise EngineError(f"{answer.status} {told.decode(errors='replace').strip()}")
            return answer.status, told
        finally:
            http.close()

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """A request whose answer is a JSON object."""
        told = self.request(method, path, body)[1]
        return cast("Json", json.loads(told)) if told.strip() else {}

    def image(self, name: str) -> str:
        """Have the image (see `images`); its name."""
        if name not in self._images:
            with image(name) as (tar, change):
                query = urlencode({"fromSrc": "-", "repo": name, "changes": change})
                told = self.request("POST", f"/images/create?{query}", tar)[1]
            assert b"errorDetail" not in told, told
            self._images.add(name)
        return name

    def container(
        self, name: str, config: Mapping[str, object], host: Mapping[str, object] | None = None
    ) -> str:
        """Make a container on the host's network and start it; its id."""
        more = {"NetworkMode": "host", "Init": True, **(host or {})}
        made = self.ask("POST", f"/containers/create?name={name}", {**config, "HostConfig": more})
        self.request("POST", f"/containers/{made['Id']}/start")
        return str(made["Id"])

    def pid(self, container: str) -> int:
        """Of its first process, as this machine has it."""
        state = cast("Json", self.ask("GET", f"/containers/{container}/json")["State"])
        return int(str(state["Pid"]))

    def containers(self) -> list[Json]:
        """All there are, those that ended too."""
        return cast("list[Json]", json.loads(self.request("GET", "/containers/json?all=1")[1]))

    def remove(self, container: str) -> None:
        """Away with it, whatever it does; nothing if it is gone."""
        with suppress(EngineError):
            self.request("DELETE", f"/containers/{container}?force=1&v=1")

    def clear(self) -> None:
        """Remove every container, for the next test."""
        for one in self.containers():
            self.remove(str(one["Id"]))


def _daemons(root: Path, *names: str) -> list[Process]:
    """Living processes with such a name whose arguments name the root."""
    return [one for one in everything() if one.name in names and _named(one.pid, root)]


def _named(pid: int, root: Path) -> bool:
    try:
        return str(root).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


# ---------------------------------------------------------------- the end of it


def take_down(root: Path, cgroups: Sequence[str] = ()) -> None:
    """End all that belongs to the engine below `root`, in an order that leaves nothing; AssertionError if
    something is. `cgroups` are names of what else it has besides those named like `root`.
    """
    cgroups = (root.name, *cgroups)
    for one in _daemons(root, "dockerd"):  # orderly first: it unmounts what it mounted
        with suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGTERM)
    deadline = time.monotonic() + _GIVE_UP
    while _daemons(root, "dockerd") and time.monotonic() < deadline:
        time.sleep(POLL)

    def gone() -> bool:
        left = [*_daemons(root, *_NAMES), *_in_cgroups(cgroups)]
        end(left)
        return not left

    wait_until(gone, _GIVE_UP, f"processes of {root} end")
    wait_until(lambda: not _unmounted(root), _GIVE_UP, f"mounts below {root} go")
    wait_until(lambda: _without_cgroups(cgroups), _GIVE_UP, f"cgroups of {root} go")
    shutil.rmtree(root)


def _cgroups(names: Iterable[str]) -> list[Path]:
    """Folders of all hierarchies that the containers' cgroups are in: ours by name."""
    top = Path("/sys/fs/cgroup")
    hierarchies = [top, *top.iterdir()]
    return [path for name in names for one in hierarchies if (path := one / name).is_dir()]


def _in_cgroups(names: Iterable[str]) -> list[Process]:
    pids = set[int]()
    for top in _cgroups(names):
        for file in top.rglob("cgroup.procs"):
            with suppress(OSError):
                pids |= {int(pid) for pid in file.read_text().split()}
    return [one for one in map(look, pids - {0}) if one is not None and one.state not in "ZX"]


def _without_cgroups(names: Iterable[str]) -> bool:
    for top in _cgroups(names):
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
    return not _cgroups(names)


def _unmounted(root: Path) -> list[str]:
    """Unmounts what is mounted below; what was."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    below = [path for path in (line.split()[1] for line in lines) if path.startswith(f"{root}/")]
    for path in sorted(below, reverse=True):
        subprocess.run(["umount", "--lazy", path], check=False, capture_output=True)
    return below


def guard(root: Path, end_of_it: Callable[[Path], None] = take_down) -> None:
    """The warden: until the owner lets go of the other end of stdin."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    end_of_it(root)


def play(engine: Engine) -> None:
    """One for a person."""
    try:
        engine.start()
        for name in ("busybox:test", "bash:test", "python:test"):
            engine.image(name)
        print(f"export DOCKER_HOST={engine.host}", flush=True)
        with suppress(KeyboardInterrupt):
            while os.read(0, 4096):
                pass
    finally:
        began = time.monotonic()
        engine.close()
        print(f"gone after {time.monotonic() - began:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == ["warden"]:
        guard(Path(sys.argv[2]))
    else:
        play(Engine())
