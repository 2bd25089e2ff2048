"""The wire between agent and launcher: length-prefixed JSON, versioned, and how one side reaches the other.

A frame is four bytes, big-endian, the length of the JSON object that follows. Requests carry `v`, `id` and
`op`, answers `v`, `id` and either `ok` (an object) or `error` ({code, message}). Answers come when they are
known, not in order of request.
"""

import json
import os

__all__ = (
    "KILL", "LINGER", "LOCK", "LOG", "MAX_FRAME", "SOCKET", "TERMINATE", "UNLINGER", "UNSHARED", "VERSION",
    "Frames", "Message", "Refused", "cast", "command", "encode", "parse", "reach",
    "value_of",
)  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import cast
else:

    def cast(_: object, value: object) -> object:
        """Types are for the checker; importing typing would cost a megabyte."""
        return value


VERSION = 1
MAX_FRAME = 16 << 20
SOCKET = "launcher.sock"
LOCK = "launcher.lock"
LOG = "launcher.log"

Message = dict[str, object]

UNSHARED = "unshared"
"""The refusal of an order whose secrets are elsewhere and cannot be read there: they may come with it."""

# Control signals of a holder, as offsets from SIGRTMIN.
TERMINATE, KILL, LINGER, UNLINGER = 1, 2, 3, 4


class Refused(Exception):
    """A request that is not done. `code` is for programs, `text` for people."""

    def __init__(self, code: str, text: str) -> None:
        """Codes: invalid, version, unknown_op, no_hello, fenced, void, not_started, too_large, unshared."""
        super().__init__(text)
        self.code = code
        self.text = text


def encode(message: Message) -> bytes:
    """One frame.

    ASCII JSON, so that bytes of file names which are not UTF-8 (surrogates) survive. Raises Refused.
    """
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > MAX_FRAME:
        raise Refused("too_large", f"a message of {len(body)} bytes; at most {MAX_FRAME} are taken")
    return len(body).to_bytes(4, "big") + body


class Frames:
    """Turns a byte stream into messages."""

    def __init__(self) -> None:
        """Empty."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> "Iterator[Message]":
        """The messages that are complete with `data`.

        Raises Refused when the stream is not of this wire; drop it then.
        """
        self._buffer += data
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if size > MAX_FRAME:
                raise Refused("too_large", f"a message of {size} bytes; at most {MAX_FRAME} are taken")
            if len(self._buffer) < 4 + size:
                return
            body = bytes(self._buffer[4 : 4 + size])
            del self._buffer[: 4 + size]
            yield parse(body)


def parse(body: bytes) -> Message:
    """A JSON object. Raises Refused for anything else."""
    try:
        message = value_of(body)
    except ValueError as error:
        raise Refused("invalid", f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise Refused("invalid", "not a JSON object")
    return cast("Message", message)


def value_of(text: bytes) -> object:
    """JSON that somebody else may have written: the launcher reads all of it here.

    Raises ValueError, also for what nests more deeply than the standard library reads.
    """
    try:
        return cast("object", json.loads(text))
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def reach(act: "Callable[[str], object]", folder: str) -> None:
    """Call a socket's bind or connect with the launcher's address, also if its path is too long for one."""
    anchor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        act(f"/proc/self/fd/{anchor}/{SOCKET}")
    finally:
        os.close(anchor)


def command(python: str, source: str, state: str) -> list[str]:
    """The argv that starts a launcher for the state folder, detached; it ends with 0 once that one listens.

    `source` goes last on the path: no package beside ours may stand in for a module of the standard library.
    """
    code = "import sys; sys.path.append(sys.argv[1]); from runner_agent.launcher.main import main; main()"
    return [python, "-I", "-S", "-X", "utf8", "-c", code, source, state]
