"""A machine with a kernel of its own and its real cgroup controllers, booted for a job, whatever the host is.

The host's own cgroups may lack version 2, or its controllers. This kernel is a process of the host
(user-mode Linux): it needs neither KVM nor a module, and computes as fast as the host, where an emulator
takes ten times as long. System calls and page faults cost some 50 and 200 microseconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

KERNEL = "linux.uml"
"""Of Debian's package user-mode-linux."""
MINUTES = 30
"""For one job at most, on a busy host."""
_DOWN = re.compile(r"^rc=\d+\r?$", re.MULTILINE)
_MASKED = (
    *("systemd-udevd.service", "systemd-udev-trigger.service", "systemd-udevd-control.socket"),
    *("systemd-udevd-kernel.socket", "systemd-hwdb-update.service", "systemd-remount-fs.service"),
    *("systemd-firstboot.service", "systemd-pstore.service", "systemd-random-seed.service"),
    *("systemd-machine-id-commit.service", "systemd-modules-load.service", "systemd-sysctl.service"),
    *("modprobe@.service", "dev-hugepages.mount", "dev-mqueue.mount", "proc-sys-fs-binfmt_misc.automount"),
    *("sys-kernel-debug.mount", "sys-kernel-tracing.mount", "tmp.mount"),
)
_BOOT = r"""
set -eu
W=$1 ROOTS=$2 JOB=$3
mount -t tmpfs -o mode=755 tmpfs "$W"; mkdir "$W/up" "$W/wk" "$W/tree"
mount -t overlay -o "lowerdir=$ROOTS,upperdir=$W/up,workdir=$W/wk" overlay "$W/tree"
cp -r "$JOB" "$W/tree/job"
units=$W/tree/etc/systemd/system
for unit in $MASKED; do ln -sf /dev/null "$units/$unit"; done
cat >"$units/job.target" <<U
[Unit]
Requires=sysinit.target job.service
After=sysinit.target
U
cat >"$units/job.service" <<U
[Unit]
After=sysinit.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
WorkingDirectory=/job
ExecStart=/bin/bash -c 'bash run.sh; echo "rc=$?"'
StandardOutput=file:/dev/ttyS0
StandardError=inherit
U
tr -d - </proc/sys/kernel/random/uuid >"$W/tree/etc/machine-id"
mke2fs -q -t ext4 -O ^has_journal -E nodiscard -d "$W/tree" "$W/disk" 2G
umount "$W/tree"
exec env -i PATH="$PATH" HOME="$W" TMPDIR="$W" taskset -c "$CPU" \
    $KERNEL mem=1024M uml_dir="$W" ubda="$W/disk" root=/dev/ubda rw quiet \
    systemd.unit=job.target con=null con0=null,fd:2 ssl=null ssl0=null,fd:1
"""


def missing() -> str:
    """What this machine lacks to boot one; "" for nothing. A clean root has its own needs."""
    gone = [name for name in (KERNEL, "mke2fs") if shutil.which(name) is None]
    return f"{', '.join(gone)} not found: apt-get install user-mode-linux e2fsprogs" if gone else ""


def run_job(job: Path, *roots: Path) -> str:
    """Boot it on the roots, laid over each other, run the job's run.sh as root, and give what that said.

    Nothing is written to roots and job, and nothing is kept of the machine.
    """
    with tempfile.TemporaryDirectory(prefix="runner-agent-vm-") as place:
        # It ends with us, however we do, with all processes it has on the host, and its disk with it.
        apart = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
        apart += ["--pid", "--mount-proc", "--fork", "--kill-child"]
        # On one processor: a system call is two switches between kernel and process, thrice as fast there.
        given = f"MASKED='{' '.join(_MASKED)}' KERNEL={KERNEL} CPU={max(os.sched_getaffinity(0))}"
        try:
            ended = subprocess.run(
                [*apart, "bash", "-c", f"{given}\n{_BOOT}", "boot", place, ":".join(map(str, roots)), job],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60 * MINUTES,
                check=False,
            )
            told, console = ended.stdout, ended.stderr
        except subprocess.TimeoutExpired as late:
            told, console = late.stdout or b"", late.stderr or b""
    said = told.decode(errors="replace")
    assert _DOWN.search(said), f"no end: {console.decode(errors='replace')[-4000:]}\n{said[-4000:]}"
    return said
