"""As process 1 of a container: make room for a small process, and be its child (`launcher/first.py`)."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import runner_agent


def step_aside() -> NoReturn:
    """Does not return: the same command line is run again, by a child."""
    first = Path(runner_agent.__file__).parent / "launcher/first.py"
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execv(sys.executable, [sys.executable, "-I", "-S", str(first), *command])
