"""Paths as a container sees them, resolved from outside: no link in there leads out into the machine."""

import ctypes
import errno
import os
import stat

_OPENAT2 = 437  # on every architecture
_IN_ROOT, _NO_MAGIC_LINKS = 0x10, 0x02
_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class Inside:
    """The root of a container, by one of its processes. To be closed; it pins nothing that keeps it alive."""

    def __init__(self, pid: int) -> None:
        """Raises OSError: it is gone, or not ours to look into."""
        self._root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        """A descriptor. Raises OSError, with the path as the container has it."""
        how = _How(flags | os.O_CLOEXEC, mode, _IN_ROOT | _NO_MAGIC_LINKS)
        found: int = _syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(self._root),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if found < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return found

    def text(self, path: str, most: int = 1 << 20) -> str:
        """A file's text, or so much of it; "" if it cannot be read."""
        try:
            file = self.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return ""
        try:
            parts: list[bytes] = []
            while most > 0 and (part := os.read(file, most)):
                parts.append(part)
                most -= len(part)
            return b"".join(parts).decode("utf-8", "replace")
        except OSError:
            return ""
        finally:
            os.close(file)

    def is_folder(self, path: str) -> bool:
        """A directory, links followed?"""
        return stat.S_ISDIR(self._mode(path))

    def is_program(self, path: str) -> bool:
        """A file that somebody may execute?"""
        mode = self._mode(path)
        return stat.S_ISREG(mode) and mode & 0o111 != 0

    def make_folder(self, parents: "tuple[str, ...]", name: str) -> tuple[str, int]:
        """A new folder of ours in the first of the parents that takes it: its path, and it, open.

        Raises the last one's OSError. One of that name that is there already is taken if root's alone.
        """
        last = OSError(errno.ENOENT, os.strerror(errno.ENOENT), "/tmp")  # noqa: S108 - the container's
        for parent in parents:
            try:
                above = self.open(parent, os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                last = error
                continue
            try:
                return f"{parent}/{name}", _made(above, name)
            except OSError as error:
                last = error
            finally:
                os.close(above)
        raise last

    def remove_folder(self, path: str) -> None:
        """A folder of files, and they. Raises OSError."""
        folder = self.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        above = self.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in os.listdir(folder):
                os.unlink(name, dir_fd=folder)
            os.rmdir(os.path.basename(path), dir_fd=above)
        finally:
            os.close(folder)
            os.close(above)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._root)

    def _mode(self, path: str) -> int:
        try:
            found = self.open(path, os.O_PATH)
        except OSError:
            return 0
        try:
            return os.fstat(found).st_mode
        finally:
            os.close(found)


def _made(above: int, name: str) -> int:
    try:
        os.mkdir(name, 0o700, dir_fd=above)
    except FileExistsError:
        pass
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    if os.fstat(folder).st_uid != os.geteuid():
        os.close(folder)
        raise FileExistsError(errno.EEXIST, "somebody else's", name)
    return folder
