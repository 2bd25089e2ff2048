"""Whether the program that a reload is about to execute can be. If not, the one that runs stays as it is.

It is asked of that program itself, `serve --check`: after an upgrade it may know settings that we do not.
"""

import asyncio
import sys
from contextlib import suppress

from runner_agent.daemon.settings import ServeOptions, load, parse_listen
from runner_agent.daemon.user import find_user
from runner_agent.kit.signals import unblock

CHECK = "--check"
WITHIN = 10.0
"""Seconds to answer. A tenth of one is usual; a machine that needs more is in trouble, and is reloaded."""
_LONGEST = 2000
"""Characters of a reason. The end of a traceback says what it is."""
_USAGE = 2


def check(options: ServeOptions) -> None:
    """`serve --check`: what can be known without touching anything. Raises RunnerError."""
    settings = load(options)
    find_user(settings.run_as)
    for address in settings.listen:
        parse_listen(address)


async def refusal() -> str:
    """Why the next program could not be, in a line; "" if it can, or if that is not to be found out now."""
    command = [sys.executable, *sys.orig_argv[1:], CHECK]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=unblock,
        )
    except (FileNotFoundError, PermissionError) as error:
        return f"{sys.executable} cannot be executed ({error.strerror})"
    except (OSError, RuntimeError):  # no process, thread or descriptor to be had; exec needs none
        return ""
    try:
        async with asyncio.timeout(WITHIN):
            _, said = await process.communicate()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return ""
    return _reason(process.returncode or 0, said.decode(errors="replace"))


def _reason(code: int, said: str) -> str:
    """By exit code and words of the check. A signal, Ctrl-C for one, says nothing of the program."""
    if code <= 0 or (code == _USAGE and CHECK in said):  # an older version, which has no such option
        return ""
    told = "; ".join(said.strip().removeprefix("Error: ").splitlines())
    return told[-_LONGEST:] or f"its check ended with {code}"
