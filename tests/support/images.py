"""Images for tests, from this machine's own files, so that no registry is asked: busybox, bash and Python.

`busybox:test` has sh and the usual small tools, no bash. `bash:test` has bash too, and beside root the user
`dev` (uid 1000, home /home/dev), as a dev container's image has one. `python:test` has this Python on top.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

USER, USER_ID, USER_HOME = "dev", 1000, "/home/dev"
_PASSWD = f"root:x:0:0:root:/root:/bin/sh\n{USER}:x:{USER_ID}:{USER_ID}::{USER_HOME}:/bin/bash\n"
_GROUP = f"root:x:0:\n{USER}:x:{USER_ID}:\n"
_PATH = "ENV PATH=/usr/bin:/bin"
_LEFT_OUT = re.compile(
    r"(^|/)(site-packages|test|tests|__pycache__|config-[^/]*|ensurepip|idlelib|tkinter)(/|$)|\.a$"
)


class MissingProgram(Exception):
    """An image needs a program that this machine lacks."""


@contextmanager
def image(name: str) -> Generator[tuple[IO[bytes], str]]:
    """A tar file of the image's whole file system, and the change its import takes."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            tree = _Tree(tar)
            tree.base()
            if name != "busybox:test":
                tree.program(_found("bash"), "bin/bash")
                tree.program(_found("nohup"), "usr/bin/nohup")  # not every busybox has one
            if name == "python:test":
                tree.python()
            tree.libraries()
        file.seek(0)
        yield file, _PATH


class _Tree:
    """What goes into the tar, each path once."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._there: set[str] = set()
        self._dynamic: list[Path] = []

    def base(self) -> None:
        for folder, mode in (
            ("tmp", 0o1777),
            ("proc", 0o755),
            ("sys", 0o755),
            ("dev", 0o755),
            ("root", 0o700),
        ):
            self._folder(folder, mode)
        self._folder(USER_HOME[1:], 0o755, USER_ID)
        self._text("etc/passwd", _PASSWD)
        self._text("etc/group", _GROUP)
        busybox = _found("busybox")
        self.program(busybox, "bin/busybox")
        applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
        for applet in applets.stdout.split():
            if applet != "busybox":
                self._link(f"bin/{applet}", "busybox")

    def program(self, source: Path, path: str) -> None:
        self._parents(path)
        self._tar.add(source.resolve(), path, filter=_as_root)
        self._there.add(path)
        self._dynamic.append(source)

    def python(self) -> None:
        """The interpreter where it is here, since it finds its library from there, and its whole library."""
        home = Path(sys.base_prefix)
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        program = home / "bin" / version
        self.program(program, str(program)[1:])
        for library in home.glob("lib/libpython*.so*"):
            self.program(library, str(library)[1:])
        for path in sorted((home / "lib" / version).rglob("*")):
            if path.is_file() and not _LEFT_OUT.search(str(path.relative_to(home))):
                self._parents(str(path)[1:])
                self._tar.add(path.resolve(), str(path)[1:], filter=_as_root)
                if path.suffix == ".so":
                    self._dynamic.append(path)
        self._link("usr/bin/python3", str(program))

    def libraries(self) -> None:
        """All that the programs load, where they look for it."""
        for path in sorted(_needed(self._dynamic)):
            if path[1:] not in self._there:
                self.program(Path(path), path[1:])

    def _folder(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        if path not in self._there:
            self._parents(path)
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, owner, owner
            self._tar.addfile(info)
            self._there.add(path)

    def _parents(self, path: str) -> None:
        for parent in reversed(Path(path).parents[:-1]):
            self._folder(str(parent))

    def _link(self, path: str, target: str) -> None:
        self._parents(path)
        info = tarfile.TarInfo(path)
        info.type, info.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(info)

    def _text(self, path: str, text: str) -> None:
        self._parents(path)
        info = tarfile.TarInfo(path)
        info.size, info.mode = len(text), 0o644
        self._tar.addfile(info, io.BytesIO(text.encode()))


def _as_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _found(program: str) -> Path:
    path = shutil.which(program)
    if path is None:
        raise MissingProgram(program)
    return Path(path)


def _needed(dynamic: Iterable[Path]) -> set[str]:
    """The libraries that ldd names; those it calls by name only are the kernel's."""
    told = subprocess.run(["ldd", *dynamic], capture_output=True, text=True, check=False)
    return set(re.findall(r"(?:=> |^\t)(/\S+) \(0x", told.stdout, re.MULTILINE))
