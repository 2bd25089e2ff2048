"""The agent's side of the launcher: reach it, start one if none answers, ask it, and fence off every agent
before us.
"""

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import structlog

import runner_agent
from runner_agent.executors.holders import readable
from runner_agent.executors.replaced import ended, peer_of
from runner_agent.launcher import wire
from runner_agent.launcher.wire import Message, Refused
from runner_agent.model.errors import Unavailable

ANSWER_WITHIN = 30.0
"""Seconds. An answer takes a millisecond; a launcher that takes longer than this is replaced by nobody, but
told of."""

ATTEMPTS = 3
"""How often a request is made whose connection breaks before the answer. All requests may be made twice."""

TOO_OLD_FOR_SECRETS = (
    "the launcher is of an older version, which cannot keep secrets out of logs; restart it"
    " (systemctl restart runner-agent-launcher): what runs goes on"
)

ANOTHER_VERSION = (
    "the launcher is of another version than this agent ({}); restart it (systemctl restart"
    " runner-agent-launcher, or SIGTERM to ra-launcher): what runs goes on"
)

log = structlog.get_logger("launcher")


class OfAnotherVersion(Unavailable):
    """The launcher speaks another version of the wire."""


class HungUp(Unavailable):
    """The connection broke before the answer: the launcher died, or hears a newer agent."""


class LauncherLink:
    """One connection, made when first needed and made anew when lost. Requests travel side by side."""

    def __init__(self, state_dir: Path, unit: str = "") -> None:
        """`unit` is the systemd unit that runs the launcher: it is started, and left running. "" is none: a
        launcher of our own is started, and ended with us.
        """
        self._state, self._unit = state_dir, unit
        self._epoch = time.monotonic_ns()  # grows from one agent of this boot to the next
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._redacts = self._shares = False
        self._leaving = False
        self._peer = 0

    async def ask(self, op: str, fields: Mapping[str, object] | None = None) -> Message:
        """What the launcher says to a request. Raises Refused with its reason, Unavailable if it cannot be
        reached.
        """
        for _ in range(ATTEMPTS - 1):
            await self._connect()
            try:
                return await self._ask(op, fields or {})
            except HungUp:
                log.warning("the launcher hung up; asking anew", op=op)
        await self._connect()
        return await self._ask(op, fields or {})

    async def shutdown(self) -> None:
        """End the launcher, if one is there and it is ours. Runs go on."""
        if self._unit:
            return
        if self._writer is None and not (self._state / wire.SOCKET).exists():
            return
        self._leaving = True
        try:
            if self._writer is None:
                if not await self._open():
                    return
                await self._hello()
            await self._ask("shutdown", {})
        except OfAnotherVersion:
            await ended(self._peer)
        except (Unavailable, Refused):
            pass  # it is gone already
        await self.aclose()

    async def aclose(self) -> None:
        """Hang up."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._reading = None
        self._hang_up()

    async def _connect(self) -> None:
        async with self._connecting:
            if self._writer is not None:
                return
            try:
                await self._begin()
            except OfAnotherVersion:
                if not await ended(self._peer):
                    raise
                await self._begin()

    async def _begin(self) -> None:
        self._leaving = False
        if not await self._open():
            await self._start_launcher()
            if not await self._open():
                raise Unavailable(
                    f"the launcher of {self._state} does not answer; see {self._state / wire.LOG}"
                )
        try:
            await self._hello()
        except BaseException:
            self._hang_up()  # a connection that has not said hello is of no use to the next request
            raise

    async def _hello(self) -> None:
        """From now on the launcher hears us and nobody older."""
        try:
            hello = await self._ask("hello", {"epoch": self._epoch, "pid": os.getpid()})
        except Refused as refused:
            if refused.code != "version":
                raise
            raise OfAnotherVersion(ANOTHER_VERSION.format(refused.text)) from None
        self._redacts, self._shares = bool(hello.get("redacts")), bool(hello.get("shares"))
        log.debug("launcher answers", pid=hello.get("pid"), version=hello.get("version"))

    async def _open(self) -> bool:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            wire.reach(sock.connect, str(self._state))
        except OSError:
            sock.close()
            return False
        self._peer = peer_of(sock)
        sock.setblocking(False)  # noqa: FBT003  the socket module has it so
        reader, self._writer = await asyncio.open_unix_connection(sock=sock)
        self._reading = asyncio.get_running_loop().create_task(self._read(reader), name="launcher link")
        return True

    async def _start_launcher(self) -> None:
        """It detaches itself, so that it is nobody's child but its runs' parent; the command ends once it
        listens.
        """
        source = str(Path(runner_agent.__file__).parent.parent)
        argv = wire.command(sys.executable, source, str(self._state))
        if self._unit:  # never one of our own beside it: commands would be bound by what binds us
            argv = ["systemctl", "--no-ask-password", "start", self._unit]
        # Not by asyncio: up to Python 3.11 that waits in a thread of its own.
        process = subprocess.Popen(  # noqa: ASYNC220  a vfork; nothing is waited for here
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        pinned = os.pidfd_open(process.pid)
        try:
            await readable(pinned)
        finally:
            os.close(pinned)
            _, said = process.communicate()
        if process.returncode and "another launcher" not in said:
            whence = f" (systemctl start {self._unit})" if self._unit else ""
            raise Unavailable(f"the launcher cannot be started{whence}: {said.strip()}")

    async def _ask(self, op: str, fields: Mapping[str, object]) -> Message:
        if self._writer is None:
            raise HungUp("the launcher hung up")
        if fields.get("secrets") and not self._redacts:
            raise Refused("not_started", TOO_OLD_FOR_SECRETS)
        if fields.get("secrets_in") and not self._shares:
            raise Refused(wire.UNSHARED, TOO_OLD_FOR_SECRETS)
        number = next(self._numbers)
        frame = wire.encode({"v": wire.VERSION, "id": number, "op": op, **fields})
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(frame)
            async with asyncio.timeout(ANSWER_WITHIN):
                result: Message = await answer
                return result
        except TimeoutError:
            raise Unavailable(f"the launcher did not answer {op} within {ANSWER_WITHIN:.0f} s") from None
        finally:
            self._waiting.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        frames = wire.Frames()
        try:
            while data := await reader.read(1 << 16):
                for message in frames.feed(data):
                    self._take(message)
        except (OSError, Refused) as error:
            if not self._leaving:  # one that was told to end, perhaps twice, does not owe us an orderly close
                log.warning("lost the launcher", error=str(error))
        finally:
            self._hang_up()

    def _take(self, message: Message) -> None:
        waiting = self._waiting.get(cast("int", message.get("id")))
        if waiting is None or waiting.done():
            return
        error = message.get("error")
        if error is not None:
            told = cast("dict[str, str]", error)
            waiting.set_exception(Refused(told["code"], told["message"]))
        else:
            waiting.set_result(cast("Message", message["ok"]))

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(HungUp("the launcher hung up before it answered"))
