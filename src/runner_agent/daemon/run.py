"""`serve`: one agent from its settings to its exit code, with its signals (rules 7.1, 7.2, 7.5).

SIGTERM and SIGINT stop everything in order; a second SIGINT hastens. SIGHUP leaves every run alone and
executes the program anew, which is how an upgrade takes hold, unless that could not start. SIGUSR2 leaves
every run alone and ends: the next agent takes them up. What is told to a program that is about to be another
is heard by the other.
"""

import asyncio
import faulthandler
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack

import structlog

from runner_agent.daemon import lean
from runner_agent.daemon.agent import Agent
from runner_agent.daemon.beginning import AWAITED
from runner_agent.daemon.descriptors import Trouble
from runner_agent.daemon.inherited import Inherited, hand_over
from runner_agent.daemon.journal import configure_log
from runner_agent.daemon.notify import Notifier
from runner_agent.daemon.reload import refusal
from runner_agent.daemon.settings import ServeOptions, Settings, load
from runner_agent.daemon.wiring import open_agent
from runner_agent.kit.signals import Signals
from runner_agent.model.errors import RunnerError
from runner_agent.model.frozen import dataclass

LEAVE_WITHIN = 60.0
"""Seconds for what is left to do after the last run has gone."""

log = structlog.get_logger("agent")


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing comes after."""


@dataclass(frozen=True, slots=True)
class Again:
    """The program is executed anew, and listens on. What the agent has left open stays so until then."""

    sockets: tuple[socket.socket, ...]
    agent: Agent


Outcome = Stopped | Again


def serve(options: ServeOptions) -> int:
    """Run the daemon until it is told to stop; its exit code. Raises RunnerError where it cannot go on."""
    settings = load(options)
    signals = Signals(*AWAITED)
    journal, own_log = configure_log(settings.log_level)
    if sys.__stderr__ is not None:  # systemd's watchdog sends SIGABRT: say where it hung
        faulthandler.enable(sys.__stderr__)
    outcome = asyncio.run(_serve(settings, signals, narrate=journal))
    if isinstance(outcome, Again):
        own_log.settle()
        hand_over(outcome.sockets, os.environ)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return 0


async def _serve(settings: Settings, signals: Signals, *, narrate: bool) -> Outcome:
    notifier = Notifier(os.environ)
    asyncio.get_running_loop().set_exception_handler(Trouble())
    async with AsyncExitStack() as stack:
        agent = await open_agent(settings, stack, Inherited(os.environ))
        told = asyncio.create_task(_until_told(agent, signals, notifier), name="signals")
        others = [
            asyncio.create_task(agent.work(), name="agent"),
            asyncio.create_task(_watchdog(agent, notifier), name="watchdog"),
        ]
        if narrate:
            others.append(asyncio.create_task(agent.narrate(), name="narrator"))
        try:
            # Only the one that listens to signals ends by itself; another that ends has failed.
            done, _ = await asyncio.wait({told, *others}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            return told.result()
        except ExceptionGroup as group:
            raise _root(group) from None
        finally:
            for task in (told, *others):
                task.cancel()
            await asyncio.wait({told, *others})


def _root(group: ExceptionGroup[Exception]) -> Exception:
    """The one thing that is wrong, if it is one and a sentence says it; else all, for whoever mends it."""
    told, others = group.split(RunnerError)
    leaves = _leaves(told) if told is not None and others is None else []
    return leaves[0] if len(leaves) == 1 else group


def _leaves(group: ExceptionGroup[RunnerError]) -> list[RunnerError]:
    return [
        leaf
        for one in group.exceptions
        for leaf in (_leaves(one) if isinstance(one, ExceptionGroup) else [one])
    ]


async def _until_told(agent: Agent, signals: Signals, notifier: Notifier) -> Outcome:
    """Ready, then watch, then down or again."""
    starting = asyncio.create_task(_become_ready(agent, notifier), name="start")
    try:
        first = await _next(signals, starting)
        while first is signal.SIGHUP and (reason := await refusal()):
            agent.stay(reason)
            notifier.not_reloaded(reason)
            first = await _next(signals, starting)
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    if first is signal.SIGHUP:
        notifier.reloading()
        log.info("executing anew; runs go on")
        return Again(agent.give_way(), agent)
    if first is signal.SIGUSR2:
        notifier.stopping("leaving; runs go on", LEAVE_WITHIN)
        log.info("leaving; runs go on")
        return Stopped()
    log.info("stopping", signal=first.name)
    notifier.stopping("stopping services and tasks", agent.longest_stop() + LEAVE_WITHIN)
    await _bring_down(agent, signals)
    log.info("stopped")
    return Stopped()


async def _next(signals: Signals, starting: asyncio.Task[None]) -> signal.Signals:
    """The next signal, or what the start has failed with."""
    told = asyncio.create_task(signals.next(), name="signal")
    try:
        await asyncio.wait({starting, told}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        return await told
    finally:
        told.cancel()
        await asyncio.gather(told, return_exceptions=True)


async def _become_ready(agent: Agent, notifier: Notifier) -> None:
    await agent.become_ready()
    lean.settle()
    notifier.ready(agent.summary())
    log.info("ready", **agent.facts())
    await agent.warm_up()


async def _bring_down(agent: Agent, signals: Signals) -> None:
    """In order; told again by SIGINT, at once (rule 7.1)."""
    stopping = asyncio.create_task(agent.bring_down(now=False), name="stop")
    more = asyncio.create_task(signals.next(), name="signal")
    try:
        while not stopping.done():
            await asyncio.wait({stopping, more}, return_when=asyncio.FIRST_COMPLETED)
            if not more.done():
                continue
            if more.result() is signal.SIGINT:
                log.warning("told again: killing everything")
                await agent.bring_down(now=True)
            more = asyncio.create_task(signals.next(), name="signal")
        stopping.result()
    finally:
        for task in (stopping, more):
            task.cancel()
        await asyncio.gather(stopping, more, return_exceptions=True)


async def _watchdog(agent: Agent, notifier: Notifier) -> None:
    """Proof of life at half the interval that systemd asks for. What hangs proves nothing, and is restarted;
    runs go on.
    """
    while notifier.watchdog_seconds:
        if await agent.pulse():
            notifier.alive(agent.summary())
        await asyncio.sleep(notifier.watchdog_seconds / 2)
    await asyncio.Event().wait()
