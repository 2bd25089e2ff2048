"""One folder of secrets: a file for each, named by its id, read anew each time and with care.

All of it blocks: a folder may be a network's. No message holds a byte of what was read.
"""

import os
import re
import stat
from dataclasses import field
from enum import Enum
from pathlib import Path

from runner_agent.model.frozen import dataclass

MOST = 64 << 10
"""Bytes of one value. The kernel takes no variable of more than 128 KiB."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def is_secret_id(text: str) -> bool:
    """Whether it names a secret: a UUID, which never names another file."""
    return _UUID.fullmatch(text) is not None


class Scope(Enum):
    """Whose secret it is; the first that has it wins (rule 5.6)."""

    USER = "user"
    PROJECT = "project"
    ORGANIZATION = "organization"


class Unusable(Exception):
    """A secret is there and cannot be given to anybody; the text says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value. `exposed`: everybody on this machine can read its file."""

    value: str = field(repr=False)
    exposed: bool = False


@dataclass(frozen=True, slots=True)
class Folder:
    """Files are named `prefix` and the id, in small letters."""

    scope: Scope
    path: Path
    prefix: str = ""

    def __str__(self) -> str:
        """As messages name it."""
        return f"{self.scope.value} ({self.path})"

    def place(self, secret_id: str) -> Path:
        """The file of a secret, there or not."""
        return self.path / f"{self.prefix}{secret_id.lower()}"

    def read(self, secret_id: str) -> Found | None:
        """The value, None if there is no such file. `secret_id` is a UUID. Raises Unusable."""
        path = self.place(secret_id)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unusable(f"cannot be opened: {error.strerror}") from None
        try:
            if reason := self._distrust(fd):
                raise Unusable(reason)
            exposed = bool(os.fstat(fd).st_mode & stat.S_IROTH) and _reachable(path)
            return Found(_text(_content(fd)), exposed)
        except OSError as error:
            raise Unusable(f"cannot be read: {error.strerror}") from None
        finally:
            os.close(fd)

    def _distrust(self, fd: int) -> str:
        """Why what was opened is not taken for a secret of this folder; "" if it is.

        Links are followed, since mounted secrets are links, but not out of the folder: who may put a link
        here need not be one who may read what it leads to.
        """
        home, file = self.path.resolve(), os.fstat(fd)
        if not stat.S_ISREG(file.st_mode):
            return "is no regular file"
        if not Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(home):
            return "leads out of its folder; put the file itself there"
        folder = home.stat()
        if file.st_uid not in {0, os.geteuid(), folder.st_uid}:
            return f"belongs to user {file.st_uid}; it must be root's, the agent's or the folder owner's"
        if os.fstatvfs(fd).f_flag & os.ST_RDONLY:
            return ""
        if file.st_mode & stat.S_IWOTH:
            return "can be written by everybody; take that right away (chmod o-w)"
        if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
            return "is in a folder that everybody can write to; take that right away (chmod o-w)"
        return ""


def _reachable(path: Path) -> bool:
    """Everybody may pass through all the folders above."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)


def _content(fd: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size <= MOST and (part := os.read(fd, MOST + 1 - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _text(data: bytes) -> str:
    """What a file's bytes mean: a newline that ends a single line is the editor's, not the value's."""
    if len(data) > MOST:
        raise Unusable(f"is larger than {MOST} bytes")
    if b"\0" in data:
        raise Unusable("holds a NUL byte, which no variable can carry; store it encoded, as base64 say")
    if data.find(b"\n") == len(data) - 1:
        data = data[:-1]
    if not data:
        raise Unusable("is empty")
    text = _decoded(data)
    if text is None:
        raise Unusable("is not UTF-8 text; store it encoded, as base64 say")
    return text


def _decoded(data: bytes) -> str | None:
    # What Python raises here carries the bytes, so it must not become anybody's context.
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
