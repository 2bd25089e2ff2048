"""What the agent's side does about a launcher that is not of its own version."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from runner_agent.executors.holders import read_ending, readable
from runner_agent.executors.launcher_link import LauncherLink
from runner_agent.launcher import wire
from runner_agent.model.errors import Unavailable


async def old_launcher(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One from before secrets: it passes over what it does not know, and starts anything."""
    frames = wire.Frames()
    while data := await reader.read(1 << 16):
        for message in frames.feed(data):
            writer.write(wire.encode({"v": wire.VERSION, "id": message["id"], "ok": {"pid": 1}}))
    writer.close()


async def test_rule_5_6_no_secret_is_given_to_a_launcher_that_cannot_hide_it(scratch: Path) -> None:
    async with await asyncio.start_unix_server(old_launcher, scratch / wire.SOCKET):
        link = LauncherLink(scratch)
        assert await link.ask("start", {"secrets": []}) == {"pid": 1}
        with pytest.raises(wire.Refused, match=r"older version.*restart it") as refused:
            await link.ask("start", {"secrets": ["open sesame"]})
        assert refused.value.code == "not_started"
        assert "sesame" not in str(refused.value)
        await link.aclose()


async def newer_launcher(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One of a version to come, which answers in words that ours can read, as ours does."""
    frames = wire.Frames()
    while data := await reader.read(1 << 16):
        for message in frames.feed(data):
            spoken = f"version {message['v']} is not spoken; this launcher speaks {wire.VERSION + 1}"
            error = {"code": "version", "message": spoken}
            writer.write(wire.encode({"v": wire.VERSION + 1, "id": message["id"], "error": error}))
    writer.close()


async def test_rule_7_4_a_launcher_of_another_version_is_told_of_until_it_is_replaced(scratch: Path) -> None:
    """What to do is said; once that is done, the same link goes on."""
    link = LauncherLink(scratch)
    async with await asyncio.start_unix_server(newer_launcher, scratch / wire.SOCKET):
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"speaks 2\); restart it .*: what runs goes on"):
                await link.ask("ping")
    (scratch / wire.SOCKET).unlink(missing_ok=True)
    assert await link.ask("ping") == {}, "of our own version, which it starts"
    await link.shutdown()


async def test_a_launcher_of_ours_tells_an_agent_of_another_version(scratch: Path) -> None:
    """The reverse: the words an older or newer agent gets name both versions, and nothing is done."""
    link = LauncherLink(scratch)
    assert await link.ask("ping") == {}
    reader, writer = await asyncio.open_unix_connection(scratch / wire.SOCKET)
    for version in (0, wire.VERSION + 1):
        writer.write(wire.encode({"v": version, "id": 1, "op": "shutdown"}))
        size = int.from_bytes(await reader.readexactly(4), "big")
        told = wire.parse(await reader.readexactly(size))
        assert told["error"] == {
            "code": "version",
            "message": f"version {version} is not spoken; this launcher speaks {wire.VERSION}",
        }
    writer.close()
    assert await link.ask("ping") == {}
    await link.shutdown()


async def resetting(listener: socket.socket) -> None:
    """A launcher that is gone before it has read what was asked of it: each connection is reset."""
    while True:
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
        with connection:
            await readable(connection.fileno())


async def test_only_a_launcher_that_nobody_told_to_end_is_lost(scratch: Path) -> None:
    """A second Ctrl-C tells it to end when it does so already, which is no alarm."""
    link = LauncherLink(scratch)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(scratch / wire.SOCKET))
        listener.listen()
        listener.setblocking(False)  # noqa: FBT003  the socket module has it so
        launcher = asyncio.create_task(resetting(listener))
        with capture_logs() as told:
            await link.shutdown()
        assert told == []
        with capture_logs() as told, pytest.raises(Unavailable):
            await link.ask("ping")
        assert [each["event"] for each in told] == ["lost the launcher"]
        launcher.cancel()
        await asyncio.gather(launcher, return_exceptions=True)
    await link.aclose()


def test_rule_7_4_a_record_of_another_version_is_told_and_nobody_is_signalled(scratch: Path) -> None:
    """An older agent finds what a newer holder wrote."""
    (scratch / "spawned").write_text('{"v": 2, "ended": {"how": "exited", "code": 0}}\n')
    with pytest.raises(Unavailable, match=r"is of version 2; this is 1"):
        read_ending(scratch)
