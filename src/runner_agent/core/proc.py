"""The machine of one OS-level run: idle, promised, live, ended, gone. Every object that runs a command
contains some.
"""

from dataclasses import replace

from runner_agent.core.facts import (
    NeverStarted,
    OutputSeen,
    Promised,
    RunEnded,
    RunFact,
    RunGone,
    Spawned,
    Waits,
)
from runner_agent.model.errors import IllegalFact
from runner_agent.model.runs import Ended, Gone, Idle, Live, Proc, Starting


def fold(proc: Proc, fact: RunFact) -> Proc:
    """The run after `fact`. Raises IllegalFact, leaving the state as it was, where the fact cannot follow."""
    match proc, fact:
        case ((Idle() | Gone()), Promised(run_id=run_id, at=at)):
            return Starting(run_id, at)
        case Starting(run_id=run_id) as starting, Waits(text=text) if fact.run_id == run_id:
            return replace(starting, waits=text)
        case Starting(run_id=run_id), Spawned(at=at, handle=handle) if fact.run_id == run_id:
            return Live(run_id, at, handle)
        case Starting(run_id=run_id), NeverStarted() if fact.run_id == run_id:
            return Idle()
        case Live(run_id=run_id, handle=handle, read=read), RunEnded(at=at, ending=ending) if (
            fact.run_id == run_id
        ):
            return Ended(run_id, at, handle, ending, read)
        case ((Starting(run_id=run_id) | Live(run_id=run_id)), RunGone(at=at, ending=ending)) if (
            fact.run_id == run_id
        ):
            return Gone(run_id, at, ending)
        case Ended(run_id=run_id, ending=ending), RunGone(at=at) if fact.run_id == run_id:
            return Gone(run_id, at, ending)  # the ending that was seen first is the command's own
        case _:
            raise IllegalFact("run", proc, fact)


def expects(proc: Proc, fact: RunFact) -> bool:
    """Whether the fact is news about this very run; stale news (of a run replaced since, or told twice) is
    not.
    """
    try:
        fold(proc, fact)
    except IllegalFact:
        return False
    return True


def read_up_to(proc: Proc, fact: OutputSeen) -> Proc:
    """The run whose output file it is remembers how far that was read; any other is as it was."""
    match proc:
        case (Live(run_id=run_id) | Ended(run_id=run_id)) as one if run_id == fact.run_id:
            return replace(one, read=fact.read)
        case _:
            return proc


def waits(proc: Proc) -> str:
    """What its start waits for, in words; "" for nothing."""
    return proc.waits if isinstance(proc, Starting) else ""


def alive(proc: Proc) -> bool:
    """Something of it exists, or may exist."""
    return isinstance(proc, (Starting, Live, Ended))


def signalable(proc: Proc) -> bool:
    """There is a handle to send signals to."""
    return isinstance(proc, (Live, Ended))


def commanding(proc: Proc) -> bool:
    """The command itself has not ended."""
    return isinstance(proc, (Starting, Live))
