"""A script on the standard input of its shell: of any length, and not to be seen among its arguments.

It lies in memory that has no name and goes with its last descriptor, which is the shell's standard input
until that has read it: no file to be made, found, read by others or removed.
"""

import os

from runner_agent.launcher.wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner_agent.launcher.order import Order

EVALUATED, READ = "eval", "read"
_CAT = next((path for path in ("/bin/cat", "/usr/bin/cat") if os.access(path, os.X_OK)), "cat")
# In few words, for a pattern may match these as well. A script that could not be read has not succeeded.
_TAKE = f'eval "$({_CAT}||echo exit 126)"'
_THEN = "exec </dev/null;"  # before the script, on its first line: lines keep their numbers


def handed(argv: list[str], way: str) -> tuple[list[str], str]:
    """What to execute in the place of SHELL -c SCRIPT, and what to give it on standard input.

    Raises Refused.
    """
    if not way:
        return argv, ""
    if len(argv) != 3:
        raise Refused("invalid", "stdin: only SHELL -c SCRIPT can be handed over on standard input")
    shell, flag, script = argv
    if way == EVALUATED:
        return [shell, flag, _TAKE], _THEN + script
    if way == READ:
        return [shell, "/dev/stdin"], script
    raise Refused("invalid", f"stdin: {way!r} is no way to hand over a script; eval and read are")


def open_script(order: "Order") -> int:
    """What the command is to have as standard input, to be closed by the caller. Raises OSError."""
    memory = os.memfd_create("script")
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(os.fsencode(order.script))
        # Who reads it as a file opens it anew, at its beginning; as standard input it is empty then.
        os.lseek(memory, 0, os.SEEK_SET if order.script.startswith(_THEN) else os.SEEK_END)
    except OSError:
        os.close(memory)
        raise
    return memory
