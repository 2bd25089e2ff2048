"""One command for several things: each is done and told, and the exit code is that of what went worst."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from runner_agent.cli.exits import Quit, code_of, message_of
from runner_agent.cli.terminal import note
from runner_agent.client.errors import AgentUnreachable, ClientError


def for_each(wishes: Iterable[tuple[str, Callable[[], object]]], told: str = "") -> None:
    """Names of things, and what is to be done to each; `told` is said of those to which it was done.

    One that is refused stops no other. Raises Quit for them in the end; AgentUnreachable at once.
    """
    refused: list[tuple[str, ClientError]] = []
    for name, do in wishes:
        try:
            do()
        except AgentUnreachable:
            raise
        except ClientError as error:
            refused.append((name, error))
        else:
            if told:
                note(f"{name}: {told}.")
    match refused:
        case []:
            return
        case [(_, only)]:
            raise only
        case _:
            for name, why in refused:
                note(f"{name}: {message_of(why)}")
            raise Quit(max(code_of(why) for _, why in refused), f"{len(refused)} were refused.")
