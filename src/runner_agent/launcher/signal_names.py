"""Signals by name, as every sentence about one has them: SIGTERM, SIGRTMIN+6.

The agent's own sentences come from `core.endings`, which may not import from here; a test holds the two to
the same names.
"""

import signal

_FIRST, _LAST = 34, 64  # the real-time signals, as `kill -l` counts them; 32 and 33 are the C library's own


def signal_name(number: int) -> str:
    """SIGTERM for 15; SIGRTMIN+6 for 40; "signal 99" for a number without a name."""
    if number == _LAST:
        return "SIGRTMAX"
    if _FIRST <= number < _LAST:
        return "SIGRTMIN" + (f"+{number - _FIRST}" if number > _FIRST else "")
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
