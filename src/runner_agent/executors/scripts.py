"""How a script is handed to its shell: as an argument, or by standard input or a file where that will not do.

Every process of a user's can read the arguments of a shell, and so `pkill -f PATTERN` finds the very script
that calls it. And the kernel takes no argument of 128 KiB. What comes on standard input, or past an Engine
by a file, is neither seen nor bounded, but the shell then stays while its last command runs. So only what
needs it is handed over that way (decision 0029).
"""

import re
from pathlib import Path

from runner_agent.model.phases import RunRole

LONGEST_ARGUMENT = 65_536
"""Bytes. The kernel takes 131,071 in one argument, and in all of them and the environment, a quarter of the
stack's limit.
"""
EVALUATED, READ = "eval", "read"
"""The ways of standard input: the shell evaluates what `cat` gives it; or it is given /dev/stdin as a file.
"""

_POSIX = frozenset({"bash", "rbash", "sh", "dash", "ash", "ksh", "ksh93", "mksh", "oksh", "yash", "zsh"})
_LOOKS_AT_PROCESSES = re.compile(r"pkill|pgrep|pidwait|pwait|psutil|killall|/proc\b|\bps\b")
# One command that bash replaces itself by: words alone, none of them special to the shell but for quotes and
# plain variables, and no redirection, for which bash stays.
_SIMPLE = re.compile(
    r"""\s*(?!(?:eval|source|command|builtin|time|coproc|trap|function|if|for|while|until|case|select)\b)
    [\w./+-]*[\w/+-][\w./+-]*
    (?:[ \t]+(?:[\w./:,@%+=~^*?\[\]-]|\$\w+|\$\{\w+\}|'[^'\n]*'|"(?:[^"`$\\\n!]|\$\w+|\$\{\w+\})*")+)*
    \s*""",
    re.VERBOSE | re.ASCII,
)


def way(script: str, shell: str, role: RunRole) -> str:
    """How `shell`, a path, is to be given the script for a role: EVALUATED, READ, or "" for an argument."""
    posix = Path(shell).name in _POSIX
    if len(script.encode("utf-8", "surrogatepass")) > LONGEST_ARGUMENT:
        return EVALUATED if posix else READ
    if not posix or not _may_hit_itself(script, role):
        return ""
    return "" if _SIMPLE.fullmatch(script) and _replaces_itself(shell) else EVALUATED


def _may_hit_itself(script: str, role: RunRole) -> bool:
    """Does it look for processes by what they were called with? A stop command may do so by other programs,
    and loses nothing if its shell stays.
    """
    if _LOOKS_AT_PROCESSES.search(script):
        return True
    return role is RunRole.STOP and not _SIMPLE.fullmatch(script)


def _replaces_itself(shell: str) -> bool:
    """Bash becomes the one command that it is given; dash does so only from some version on."""
    return Path(shell).resolve().name == "bash"


def from_file(path: str, shell: str) -> str:
    """What to tell a shell in a container instead of the script in the file. The path needs no quotes.

    It is run as if it had been the argument of -c: `$0` is the shell, and there are no positional parameters.
    """
    bash = shell.rpartition("/")[2].startswith("bash")
    return f'eval "$(<{path})"' if bash else f". {path}"
