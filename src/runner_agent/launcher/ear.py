"""What a holder waits for, signals and its command's pipe, made ready before it is forked.

To register a descriptor, or to poll anew after that, costs a holder pages of its own. So the nursery
registers a number, and a holder has that number mean its pipe.
"""

import os
import select

_poll = select.poll()
wait = _poll.poll
"""Milliseconds or None -> what is ready; those of `ear` are all there is."""


class Ear:
    """Two descriptors: of signals, which tells each process of its own, and one that can be a pipe."""

    __slots__ = ("pipe", "signals")

    def __init__(self) -> None:
        """Deaf."""
        self.pipe = self.signals = -1

    def open(self, signals: int) -> None:
        """Once, before any fork."""
        self.signals = signals
        self.pipe = os.dup(signals)
        _poll.register(self.signals, select.POLLIN)
        _poll.register(self.pipe, select.POLLIN)

    def listen(self, source: int) -> None:
        """Have `pipe` be this one, which is closed under its old number. Raises OSError."""
        os.dup2(source, self.pipe, inheritable=False)
        os.close(source)

    def mute(self) -> None:
        """Close the pipe."""
        os.dup2(self.signals, self.pipe, inheritable=False)


ear = Ear()
"""Of this process."""
