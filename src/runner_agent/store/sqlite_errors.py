"""What SQLite's errors mean for a user: which file, and what to do."""

import os
import sqlite3
from pathlib import Path

from runner_agent.model.errors import ResourceExhausted, RunnerError, StoreUnusable, Unavailable

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_NOT_NOW = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}


def way_out(path: Path) -> str:
    """For a database that must not be overwritten."""
    return (
        f"Nothing was changed. Put back a copy of it, or move {path} (and {path.name}-wal, if there is one)"
        " elsewhere to start anew: automations files are applied again, the history is lost"
    )


def as_unusable(error: sqlite3.Error, path: Path) -> RunnerError:
    """While opening or reading."""
    match _code(error):
        case code if code in _DAMAGED:
            return StoreUnusable(f"the database {path} is damaged: {error}. {way_out(path)}")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable(
                f"the database {path} cannot be used: another program holds it locked;"
                " end that one and try again"
            )
        case code if code in _NO_ROOM:
            return ResourceExhausted(f"the database {path} cannot be used: {error}; {_ROOM}")
        case sqlite3.SQLITE_CANTOPEN if files_left(path.parent) == 0:
            return ResourceExhausted(
                f"the database {path} cannot be used: {error}: its filesystem takes no more files (df -i);"
                " remove some and try again"
            )
        case _:
            return StoreUnusable(f"the database {path} cannot be used: {error}. {way_out(path)}")


def no_room_to_begin(path: Path, *, files: bool) -> ResourceExhausted:
    """While there is little room left, or room for few `files`."""
    what, cure = ("room for files (df -i)", "remove some") if files else ("space", "free some space")
    return ResourceExhausted(
        f"cannot begin anything new: hardly any {what} is left on the filesystem of {path}, and what is left"
        f" is kept for ending what runs; {cure} and try again"
    )


def has_no_room(error: Exception) -> bool:
    """The disk took nothing more, or failed."""
    return _code(error) in _NO_ROOM


def is_busy(error: Exception) -> bool:
    """Another program holds a lock: it may let go of it."""
    return _code(error) == sqlite3.SQLITE_BUSY


def as_refusal(error: Exception, path: Path) -> Exception:
    """While committing: nothing of what was asked for is stored."""
    match _code(error):
        case code if code in _NO_ROOM:
            return ResourceExhausted(f"cannot save to {path}: {error}; {_ROOM}")
        case code if code in _DAMAGED:
            return StoreUnusable(f"cannot save to {path}: it is damaged: {error}. {way_out(path)}")
        case code if code in _NOT_NOW:
            return Unavailable(
                f"cannot save to {path}: {error};"
                " see that it is writable and that no other program holds it locked"
            )
        case _:
            return error


_ROOM = "free some space on its filesystem (or see the kernel's log, if the disk is failing) and try again"


def files_left(folder: Path) -> int | None:
    """That its filesystem can still take; None where that is not limited, or not known."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return (disk.f_ffree if os.geteuid() == 0 else disk.f_favail) if disk.f_files else None


def _code(error: Exception) -> int:
    # The low byte is the primary code; the rest says more than we tell apart.
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
