"""A machine with a real systemd as PID 1, in namespaces over a throw-away overlay of a clean root: boots in
half a second, reboots as machines do, and nothing is left of it afterwards.

    python -m tests.support.systemd     one to play with, until the end of standard input

Its disk is a tmpfs in a mount namespace of its keeper, a shell that starts it anew when it reboots. The
keeper dies with the process that made it, however that ends; PID 1 dies with the keeper, and with PID 1
everything inside.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from tests.support.packages import clean_root
from tests.support.processes import PATIENCE, Process, end, look, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAMS = ("unshare", "nsenter", "setpriv", "ip", "mmdebstrap")
SHARED = "/srv/shared"
"""Where `Machine.shared` is inside."""

BOOT = 120.0
"""Seconds to start or end a machine; it takes half a one."""

_ENVIRON = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
}
_MASKED = (
    *("systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket"),
    *("systemd-udev-trigger.service", "systemd-networkd.socket", "systemd-networkd.service"),
    *("systemd-resolved.service", "systemd-timesyncd.service", "systemd-logind.service"),
    *("systemd-hwdb-update.service", "systemd-firstboot.service", "dev-hugepages.mount", "dev-mqueue.mount"),
    *("systemd-remount-fs.service", "systemd-ask-password-console.path", "systemd-ask-password-wall.path"),
    *("docker.socket", "docker.service", "containerd.service", "uuidd.socket", "systemd-initctl.socket"),
    *("systemd-journald-audit.socket", "systemd-sysctl.service", "proc-sys-fs-binfmt_misc.automount"),
    *("systemd-pcrphase-sysinit.service", "systemd-boot-system-token.service", "tmp.mount"),
)

_KEEPER = r"""
set -eu
W=$1 ROOTS=$2 CG=$3
mount -t tmpfs -o mode=755 tmpfs "$W/disk"; mkdir "$W/disk/up" "$W/disk/wk"
echo $$ >"$CG/cgroup.procs"
while :; do
    ended=0
    setpriv --pdeathsig KILL unshare --mount --propagation private --pid --uts --ipc --net --cgroup \
        --fork --kill-child bash "$W/boot" "$W" "$ROOTS" || ended=$?
    find "$CG" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null || :
    # The kernel ends a PID 1 that reboots with SIGHUP.
    [ $ended = 129 ] || rm "$W/power-fails" || exit $ended
done
"""

_BOOT = r"""
set -eu
W=$1 ROOTS=$2
mkdir -p "$W/fs"; mount -t overlay -o "lowerdir=$ROOTS,upperdir=$W/disk/up,workdir=$W/disk/wk" overlay "$W/fs"
cd "$W/fs"; mkdir -p proc sys dev run tmp srv/shared etc/systemd/system
mount -t proc proc proc; mount --bind proc/sys proc/sys; mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys; mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for n in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 dev/${n%:*} c 1 ${n#*:}; done
mknod -m 666 dev/tty c 5 0; mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts; ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for i in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/${i%:*} dev/${i#*:}; done
mount -t tmpfs -o mode=755 tmpfs run; mount -t tmpfs -o mode=1777 tmpfs tmp
mount --bind "$W/shared" srv/shared
if [ ! -e "$W/disk/booted" ]; then
    find etc/systemd/system -mindepth 1 -maxdepth 1 -name '*.wants' -exec rm -rf {} +
    for unit in $MASKED; do ln -sf /dev/null "etc/systemd/system/$unit"; done
    tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
    rm -rf var/log/journal
    : >"$W/disk/booted"
fi
hostname test-machine; ip link set lo up
mkdir -p .old; pivot_root . .old; cd /; umount -l /.old; rmdir /.old
mount --make-rshared / # as nspawn does: credentials come into services as mounts
exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio --inh-caps=-all \
    /lib/systemd/systemd --unit=multi-user.target
"""


def missing() -> str:
    """What this machine lacks to boot another; "" for nothing."""
    if os.geteuid() != 0:
        return "a machine of the tests' own needs root"
    gone = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(gone)} not found: apt-get install mmdebstrap util-linux iproute2" if gone else ""


class Machine:
    """One, booted by `boot` and gone after `close`."""

    def __init__(self, *roots: Path) -> None:
        """All of them laid over each other, the first on top; they are read, never written."""
        self._roots = ":".join(str(root) for root in roots)
        self._base = Path(tempfile.mkdtemp(prefix="machine-"))
        for name in ("disk", "fs", "shared"):
            (self._base / name).mkdir()
        (self._base / "keeper").write_text(_KEEPER)
        (self._base / "boot").write_text(f"MASKED='{' '.join(_MASKED)}'\n{_BOOT}")
        self._cgroup = _cgroups() / f"test-machine-{os.getpid()}-{self._base.name}"
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def shared(self) -> Path:
        """A folder of both: SHARED inside."""
        return self._base / "shared"

    def boot(self) -> None:
        """Power on, and wait until systemd has done all it starts with."""
        self._cgroup.mkdir(exist_ok=True)
        keeper = ["unshare", "--mount", "--propagation", "private", "bash", str(self._base / "keeper")]
        with (self._base / "console").open("ab") as console:
            places = (str(self._base), self._roots, str(self._cgroup))
            self._keeper = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *keeper, *places],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            )  # fmt: skip
        self.wait_up()

    def wait_up(self) -> None:
        """Until it has booted. Its units may have failed: that is told by `failed`."""
        self._until(lambda: self.pid1() is not None, "PID 1")
        self._until(lambda: self.state() in {"running", "degraded"}, "the end of the boot")

    def _until(self, condition: Callable[[], object], what: str) -> None:
        try:
            wait_until(condition, BOOT, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.console}\n{self.journal()}") from None

    def state(self) -> str:
        """What `systemctl is-system-running` says; "" while nobody answers."""
        return self.run("systemctl", "is-system-running", check=False).stdout.strip()

    @property
    def alive(self) -> bool:
        return self._keeper is not None and self._keeper.poll() is None

    @property
    def console(self) -> str:
        """What keeper and PID 1 wrote, for evidence."""
        return (self._base / "console").read_text(errors="replace")

    def pid1(self) -> Process | None:
        """systemd, seen from outside; None while there is none."""
        if self._keeper is None:
            return None
        for unshare in _children(self._keeper.pid):
            for pid in _children(unshare):
                found = look(pid)
                if found is not None and found.name == "systemd" and found.state not in "ZX":
                    return found
        return None

    def inside(self, path: str | Path) -> Path:
        """A file inside, as it is named outside."""
        first = self.pid1()
        assert first is not None, f"the machine is off\n{self.console}"
        return Path(f"/proc/{first.pid}/root") / str(path).lstrip("/")

    def run(
        self, *argv: str, check: bool = True, stdin: str = "", timeout: float = 120.0, cwd: str = "/"
    ) -> subprocess.CompletedProcess[str]:
        """A command inside, as root; outside of every unit."""
        ended = subprocess.run(
            [*self._enter(cwd), *argv],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and ended.returncode:
            told = f"{' '.join(argv)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
            raise AssertionError(f"{told}\n{self.journal()}")
        return ended

    def _enter(self, cwd: str) -> Sequence[str]:
        first = self.pid1()
        pid = 0 if first is None else first.pid
        environ = (f"{name}={value}" for name, value in _ENVIRON.items())
        return ["nsenter", "-t", str(pid), "--all", f"--wdns={cwd}", "env", "-i", *environ]

    def systemctl(self, *arguments: str, check: bool = True, timeout: float = 120.0) -> str:
        """What it says."""
        return self.run("systemctl", *arguments, check=check, timeout=timeout).stdout.strip()

    def shows(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.systemctl("show", "--value", "-p", name, unit)

    def journal(self, *arguments: str) -> str:
        """As a person reads it."""
        return self.run("journalctl", "--no-pager", "-o", "short-monotonic", *arguments, check=False).stdout

    def entries(self, *arguments: str) -> list[dict[str, object]]:
        """Of the journal, with all their fields."""
        said = self.run("journalctl", "--no-pager", "-o", "json", "--all", *arguments, check=False).stdout
        return [cast("dict[str, object]", json.loads(line)) for line in said.splitlines()]

    def reboot(self) -> None:
        """As a person does it; returns when the next boot is over."""
        before = self.pid1()
        assert before is not None
        self.systemctl("--no-block", "reboot")
        self._until(lambda: not before.alive, "the end of the boot before")
        self.wait_up()

    def fail_power(self) -> None:
        """Everything ends at once, and comes again; returns when the next boot is over."""
        before = self.pid1()
        assert before is not None
        (self._base / "power-fails").touch()
        end([before])
        self._until(lambda: not before.alive, "the end of the boot before")
        self.wait_up()

    def power_off(self) -> None:
        """In order."""
        self.systemctl("--no-block", "poweroff")
        self._until(lambda: not self.alive, "the power off")

    def close(self) -> None:
        """Nothing of it is left, whatever state it is in."""
        if self._keeper is not None:
            first = self.pid1()
            self._keeper.kill()
            self._keeper.wait()
            if first is not None:
                end([first])
                wait_until(lambda: not first.alive, PATIENCE, "the end of PID 1")
        deadline = time.monotonic() + PATIENCE
        while self._cgroup.exists() and time.monotonic() < deadline:
            for folder, _, _ in os.walk(self._cgroup, topdown=False):
                with suppress(OSError):
                    Path(folder).rmdir()
            time.sleep(0.01)
        assert not self._cgroup.exists(), f"something is left in {self._cgroup}"
        shutil.rmtree(self._base)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _cgroups() -> Path:
    """Where version 2 is."""
    unified = Path("/sys/fs/cgroup/unified")
    return unified if unified.is_dir() else Path("/sys/fs/cgroup")


def main(stdin: IO[str]) -> None:
    """One to play with."""
    if lack := missing():
        sys.exit(lack)
    machine = Machine(clean_root())
    try:
        machine.boot()
        first = machine.pid1()
        print(f"nsenter -t {first.pid if first else 0} --all bash", flush=True)
        stdin.read()
    finally:
        machine.close()


if __name__ == "__main__":
    main(sys.stdin)
