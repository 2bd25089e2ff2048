"""One kept connection to the API, asked anything, and what must be true of every answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from tests.api.arbitrary import Sent
from tests.api.transcript import Reply, envelopes

HEAD_TOO_LARGE = 431
ALLOWED = frozenset({200, 206, 400, 401, 403, 404, 405, 409, 415, 416, 429, HEAD_TOO_LARGE, 501, 504})
"""Nothing that says the agent is at fault."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Line:
    """Opened anew only after a stream, which is left in the middle."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self._connect = connect
        self._streams: Streams | None = None
        self.opened = 0
        self.statuses: dict[int, int] = {}

    async def ask(self, sent: Sent) -> None:
        """Send it, take the answer, and judge that; what follows it on the line is judged by the next."""
        if self._streams is None:
            self._streams = await self._connect()
            self.opened += 1
        reader, writer = self._streams
        writer.write(sent.on_the_wire())
        async with asyncio.timeout(20):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): text for name, _, text in (line.partition(": ") for line in head[1:] if line)
        }
        status = int(head[0].split()[1])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            await self.close()
        elif sent.verb != "HEAD":
            async with asyncio.timeout(20):
                body = await reader.readexactly(int(headers["content-length"]))
        reply = Reply(status, headers, body)
        if headers.get("connection") == "close":
            await self.close()
        judge(sent, reply)

    async def close(self) -> None:
        """Until it is asked again."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def judge(sent: Sent, reply: Reply) -> None:
    """Every answer is one that a client can understand, and keeps the connection, but for a head that is too
    large to be read to its end.
    """
    assert reply.status in ALLOWED, (sent, reply)
    assert reply.headers.get("connection") != "close" or reply.status == HEAD_TOO_LARGE, (sent, reply)
    if sent.verb == "HEAD":
        return
    if reply.status >= 400:
        assert reply.code not in {"internal", "unknown", "data_loss"}, (sent, reply)
        assert "Traceback" not in reply.body.decode()
    elif "connect+" in reply.headers.get("content-type", "") and reply.body:
        _, end = envelopes(reply.body)[-1]
        assert json.loads(end).get("error", {}).get("code") not in {"internal", "unknown"}, (sent, reply)
