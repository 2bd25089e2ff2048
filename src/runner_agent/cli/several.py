"""One command for several things: each is done and told, and the exit code is that of what went worst."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TypeVar

from runner_agent.cli.exits import INVALID, Quit, code_of, message_of
from runner_agent.cli.terminal import note
from runner_agent.client.errors import AgentUnreachable, ClientError, NoSuchAutomation

T = TypeVar("T")


@contextmanager
def sought(refs: Sequence[str], find: Callable[[str], T], key: Callable[[T], str]) -> Generator[list[T]]:
    """What goes by these names, each once by its `key`; the block does something to it. A name that nothing
    goes by is told first, and decides how the command ends; it keeps nothing from the others.

    Raises NoSuchAutomation where nothing is found, and Quit after the block.
    """
    found: dict[str, T] = {}
    unknown: dict[str, NoSuchAutomation] = {}
    for ref in dict.fromkeys(refs):
        try:
            thing = find(ref)
            found[key(thing)] = thing
        except NoSuchAutomation as error:
            unknown[ref] = error
    if unknown and not found:
        raise NoSuchAutomation("\n".join(map(str, unknown.values())))
    for reason in unknown.values():
        note(str(reason))
    try:
        yield list(found.values())
    except (Quit, ClientError) as failure:
        if unknown and not isinstance(failure, AgentUnreachable):
            code = failure.code if isinstance(failure, Quit) else code_of(failure)
            raise Quit(max(code, INVALID), str(failure)) from None
        raise
    if unknown:
        raise Quit(INVALID, f"Nothing goes by {', '.join(map(repr, unknown))}.")


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
