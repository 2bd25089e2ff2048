"""A small virtual machine with real cgroup controllers, booted for one job, whatever the host is.

The host's own cgroups may lack version 2, or its controllers; emulation needs neither KVM nor a module.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.machines import lacking

IMAGE = "RUNNER_AGENT_TEST_VM"
"""Names the folder where the machine's image is kept; by default one in the folder for temporary files."""
_PARTS = ("vmlinuz", "initrd.gz", "root.img")
# Not the counter of cycles: on a busy host the kernel mistakes its frequency, and the clock runs away.
_CONSOLE = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr clocksource=acpi_pm"
_DOWN = re.compile(rb"^rc=\d+\r?$", re.MULTILINE)
PYTHON = (3, 11)
"""The machine's own."""
MINUTES = 30
"""For one job at most: a busy host emulates slowly."""


def image() -> Path:
    """The machine's image, built if it is not there yet. Fails or skips where it cannot be."""
    folder = Path(
        os.environ.get(IMAGE) or Path(tempfile.gettempdir()) / f"runner-agent-test-vm-{os.geteuid()}"
    )
    if all((folder / part).exists() for part in _PARTS) and shutil.which("qemu-system-x86_64"):
        return folder
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        lacking(f"a virtual machine's image in {folder}; tests/support/vm-image makes one, as root on Debian")
    making = subprocess.run(
        [Path(__file__).with_name("vm-image"), folder],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if making.returncode:
        lacking(f"a virtual machine's image: {making.stderr[-2000:]}")
    return folder


def run_job(job: Path) -> str:
    """Boot it, run the job's run.sh as root, and give what that said. Nothing is kept of the machine."""
    folder = image()
    with tempfile.TemporaryDirectory(prefix="runner-agent-vm-") as place:
        disk, said, console = (Path(place) / name for name in ("job.tar", "said", "console"))
        with tarfile.open(disk, "w") as tar:
            tar.add(job, ".")
        with disk.open("ab") as file:
            file.truncate((disk.stat().st_size >> 20 << 20) + (2 << 20))
        command: list[str | Path] = [
            *("setpriv", "--pdeathsig", "KILL"),  # it ends with us, however we do
            *("qemu-system-x86_64", "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "1024"),
            *("-accel", "tcg,thread=multi,tb-size=512", "-nodefaults", "-no-reboot", "-display", "none"),
            *("-kernel", folder / "vmlinuz", "-initrd", folder / "initrd.gz", "-append", _CONSOLE),
            *("-drive", f"file={folder / 'root.img'},format=raw,if=none,id=d0,snapshot=on,cache=unsafe"),
            *("-drive", f"file={disk},format=raw,if=none,id=d1,readonly=on"),
            *("-device", "virtio-blk-pci,drive=d0", "-device", "virtio-blk-pci,drive=d1"),
            *("-serial", f"file:{console}", "-serial", f"file:{said}"),
        ]
        machine = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            _, complaint = machine.communicate(timeout=60 * MINUTES)
        finally:
            machine.kill()
            machine.wait()
        told = said.read_bytes() if said.exists() else b""
        seen = console.read_text(errors="replace") if console.exists() else ""
        ended = _DOWN.search(told) is not None
        assert ended, f"no end: {complaint.decode()}\n{seen[-2000:]}\n{told.decode(errors='replace')[-4000:]}"
        return told.decode(errors="replace")


def unpack_with_dependencies(wheel: Path, folder: Path) -> None:
    """The wheel's files, and beside them copies of what it needs, from the environment of the tests."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for name in sorted(set(_closure("runner-agent"))):
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(distribution.locate_file(file)), target)
    if sys.version_info[:2] == PYTHON:  # there it takes minutes
        unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(folder, quiet=2, invalidation_mode=unchecked)


def _closure(name: str) -> Iterator[str]:
    for wanted in importlib.metadata.requires(name) or ():
        requirement, _, marker = wanted.partition(";")
        needed = re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]
        if "extra" not in marker and _is_here(needed):
            yield needed
            yield from _closure(needed)


def _is_here(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:  # for another Python, or another system
        return False
    return True
