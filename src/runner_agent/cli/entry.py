"""Where the command begins. Ctrl-C ends it without a traceback from its first moment on.

Modules take a tenth of a second to load, and until then nobody is there to catch KeyboardInterrupt.
"""

import signal
from typing import NoReturn

_interrupt = signal.getsignal(signal.SIGINT)
if _interrupt is signal.default_int_handler:  # a shell's background job has it ignored
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> NoReturn:
    """`runner-agent`."""
    from runner_agent.cli.main import main as run

    signal.signal(signal.SIGINT, _interrupt)
    run()
