"""Endings in words: the one place that turns an exit code or a signal into the sentence a user reads."""

import re
from dataclasses import replace
from typing import assert_never

from runner_agent.model.runs import Ending, Exited, Lost, NotStarted, Signaled, Survivor

# fmt: off
_SIGNALS = (  # the position is the number
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
)
# fmt: on
"""Linux on x86 and ARM, by number; the signal module would tie this floor to the machine it runs on."""
_FIRST, _LAST = 34, 64
"""The real-time signals, as `kill -l` counts them; 32 and 33 are the C library's own."""
_SHELL_CODES = {  # what shells mean by a code, and how they say so; scripts end with these codes too
    126: (
        "found but not executable",
        re.compile("(?:permission denied|cannot execute|is a directory|exec format error)", re.IGNORECASE),
    ),
    127: (
        "command not found",
        re.compile(
            r"command not found|no such file or directory|executable file not found|exec: .*: not found$"
            r"|: [0-9]+: .*: not found$|: inaccessible or not found$",
            re.IGNORECASE,
        ),
    ),
}

MACHINE_RESTARTED = "the machine restarted"
SUPERVISOR_LOST = "supervisor lost"


def signal_name(number: int) -> str:
    """SIGTERM for 15; SIGRTMIN+6 for 40; "signal 99" for a number without a name."""
    if 0 < number < len(_SIGNALS):
        return f"SIG{_SIGNALS[number]}"
    if number == _LAST:
        return "SIGRTMAX"
    if _FIRST <= number < _LAST:
        return "SIGRTMIN" + (f"+{number - _FIRST}" if number > _FIRST else "")
    return f"signal {number}"


def blame(what: str, ending: Ending) -> str:
    """Why `what` (start, stop, a task's reference) failed; "" if it did not."""
    match ending:
        case Exited(code=0):
            return ""
        case Exited(code=code, why=why):
            return f"{what} exited with code {code}" + _because(why)
        case Signaled(signal=number, oom=oom, why=why):
            return f"{what} was killed by {signal_name(number)}" + _because(
                why or ("out of memory" if oom else "")
            )
        case NotStarted(reason=reason):
            return f"{what} could not be started: {reason}"
        case Lost(reason=reason):
            return reason
        case _:
            assert_never(ending)


def told_by_shell(ending: Ending, last_line: str) -> Ending:
    """With what the code means to a shell, if the last line of the log says so: bash ends with 127 after
    `${VAR:?}` too, and `exit 127` is for a script to write. A script that says it in the shell's own words is
    taken at its word: nothing tells the two apart.
    """
    if not isinstance(ending, Exited) or ending.why or ending.code not in _SHELL_CODES:
        return ending
    meaning, said = _SHELL_CODES[ending.code]
    return replace(ending, why=meaning) if said.search(last_line) else ending


def _because(why: str) -> str:
    return f" ({why})" if why else ""


def with_last_line(failure: str, last_line: str) -> str:
    """The failure with the last line of the log as evidence (rules 3.4, 4.4); no failure stays none."""
    return f"{failure}; last line: {last_line}" if failure and last_line else failure


def seconds(duration: float) -> str:
    """`120 s`, `1.5 s`."""
    return f"{duration:.10g} s"


def still_there(survivors: tuple[Survivor, ...]) -> str:
    """Who outlives SIGKILL, by pid and command (rule 3.9); "" if nobody does."""
    if not survivors:
        return ""
    names = ", ".join(f"{one.pid} ({one.command})" for one in survivors)
    return f"processes that outlive SIGKILL: {names}; still trying"
