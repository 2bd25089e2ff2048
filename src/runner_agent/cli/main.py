"""The entry point: every way a command can end becomes an exit code and a message, never a traceback."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from runner_agent.cli.exits import DONE, FAILED, INTERRUPTED, INVALID, Quit, code_of, message_of
from runner_agent.cli.streams import OutputLost, make_usable
from runner_agent.client.errors import ClientError


def main() -> NoReturn:
    """`runner-agent`."""
    make_usable()
    if os.getpid() == 1:
        from runner_agent.cli.first_process import step_aside

        step_aside()
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """One command line; the exit code."""
    try:
        code = _run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has left a command that only shows; nothing more is written there
        _drop_stdout()
        return FAILED
    except OutputLost as lost:
        _drop_stdout()
        _complain(f"Standard output: {_reason(lost.__cause__)}.")
        return FAILED
    except OSError as error:
        _drop_stdout()
        if isinstance(error, FileNotFoundError) and not error.filename and _is_nowhere():
            _complain("The working directory does not exist any more; go to one that does, with `cd`.")
            return INVALID
        _complain(f"{error.filename or 'This cannot be done'}: {_reason(error)}.")
        return FAILED


def _run(args: Sequence[str]) -> int:
    from runner_agent.cli.root import root

    try:
        result: object = root.main(args=list(args), prog_name="runner-agent", standalone_mode=False)
        return result if isinstance(result, int) else DONE
    except click.ClickException as error:
        error.show()
        return INVALID
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Quit as end:
        if end.code in {DONE, INTERRUPTED}:
            _tell(str(end))
        else:
            _complain(str(end))
        return end.code
    except ClientError as error:
        _complain(message_of(error))
        return code_of(error)


def _reason(error: BaseException | None) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _is_nowhere() -> bool:
    """Whether the directory that this process is in has been removed."""
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def _complain(text: str) -> None:
    if text:
        from runner_agent.cli.terminal import note, paint, wrapped

        word = "Error:"
        shaped = wrapped(f"{word} {text}", sys.stderr)
        note(paint(word, "31;1", sys.stderr) + shaped.removeprefix(word))


def _tell(text: str) -> None:
    if text:
        from runner_agent.cli.terminal import note, wrapped

        note(wrapped(text, sys.stderr))


def _drop_stdout() -> None:
    """Python flushes at exit; what it finds must not fail a second time."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
    except (OSError, ValueError):
        pass
