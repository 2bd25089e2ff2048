"""HTTP/1.1 as far as one agent and one client need it: a request, a connection, an answer of any length.

`http.client` would do, and takes 25 ms to import (it brings a mail parser and TLS), a fifth of what a whole
command may take. The answers come from our own server: a length, chunks, or everything until it closes.
"""

import socket
from collections.abc import Mapping
from io import BufferedReader

_LINE = 65536
"""Bytes of a status line, a header or a chunk's length. Ours have less than 200."""


class BadAnswer(OSError):
    """What came is no answer, or only the beginning of one."""


class Answer:
    """Status, headers by lower-case name, and a body to be read once."""

    def __init__(self, connection: socket.socket) -> None:
        """Reads the head. Raises OSError, BadAnswer among them, and TimeoutError."""
        self._file = connection.makefile("rb")
        self._chunked = False
        self._ended = False
        self._left: int | None = None  # bytes of the body, or of the present chunk; None: until it closes
        self._line = b""
        self.status = self._read_status()
        self.headers = self._read_headers()
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            self._chunked, self._left = True, 0
        elif "content-length" in self.headers:
            self._left = _number(self.headers["content-length"], 10)
            self._ended = self._left == 0

    def some(self, limit: int) -> bytes:
        """What is there, at most `limit` bytes; waits for at least one. b"" at the end."""
        if self._chunked and self._left == 0 and not self._ended:
            self._begin_chunk()
        if self._ended:
            return b""
        data = self._file.read1(limit if self._left is None else min(limit, self._left))
        if self._left is None:
            self._ended = not data
            return data
        if not data:
            raise BadAnswer("it closed the connection")
        self._left -= len(data)
        if self._left == 0:
            self._end_part()
        return data

    def all(self) -> bytes:
        """The rest of the body."""
        parts: list[bytes] = []
        while data := self.some(_LINE):
            parts.append(data)
        return b"".join(parts)

    def line(self) -> bytes:
        """The next line with its end; at the end of the body what is left, then b""."""
        while b"\n" not in self._line:
            data = self.some(_LINE)
            if not data:
                line, self._line = self._line, b""
                return line
            self._line += data
        line, end, self._line = self._line.partition(b"\n")
        return line + end

    def close(self) -> None:
        """Lets go of the connection, which its owner closes."""
        self._file.close()

    def _read_status(self) -> int:
        version, _, rest = self._head_line().partition(" ")
        if not version.startswith("HTTP/1."):
            raise BadAnswer("what answers there does not speak HTTP")
        return _number(rest[:3], 10)

    def _read_headers(self) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        while line := self._head_line():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _head_line(self) -> str:
        return _whole_line(self._file).decode("latin-1")

    def _begin_chunk(self) -> None:
        self._left = _number(self._head_line().partition(";")[0], 16)
        if self._left == 0:
            self._read_headers()  # trailers
            self._ended = True

    def _end_part(self) -> None:
        if self._chunked:
            _whole_line(self._file)
        else:
            self._ended = True


def request(verb: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request as bytes. Header values hold no line ends: they are ours, or a token."""
    lines = [f"{verb} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def _whole_line(file: BufferedReader) -> bytes:
    line = file.readline(_LINE)
    if not line.endswith(b"\n"):
        raise BadAnswer("it closed the connection" if len(line) < _LINE else "its answer cannot be read")
    return line.rstrip(b"\r\n")


def _number(text: str, base: int) -> int:
    try:
        number = int(text.strip(), base)
    except ValueError:
        number = -1
    if number < 0:
        raise BadAnswer("its answer cannot be read")
    return number
