"""What the agent's side does about a launcher that is not of its own version."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner_agent.executors.launcher_link import LauncherLink
from runner_agent.launcher import wire


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
