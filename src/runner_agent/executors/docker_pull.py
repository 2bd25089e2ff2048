"""The pull of an image in its run's log: that it begins, how far it is now and then, and that it is done."""

import os
import time
from types import TracebackType
from typing import Self

from runner_agent.executors.base import RunRequest
from runner_agent.executors.docker_engine import Layer
from runner_agent.launcher import loglines

EVERY = 5.0
"""Seconds between two lines about one pull: a registry tells of thousands of steps."""


class Progress:
    """Of one pull."""

    def __init__(self, image: str, request: RunRequest) -> None:
        """Writes to the run's log."""
        self._image, self._waits = image, request.waits
        self._log = loglines.open_log(str(request.log), None, None)
        self._layers: dict[str, Layer] = {}
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Self:
        self._say(f"image {self._image} is not here; pulling it")
        self._waits(f"image {self._image} is being pulled")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waits("")
        if kind is None:
            self._say(f"image {self._image} is here after {time.monotonic() - self._began:.1f} s")
        os.close(self._log)

    def note(self, layer: Layer) -> None:
        """A step of it. A layer is counted twice, as it comes and as it is unpacked: the first counts."""
        known = self._layers.get(layer.name)
        if layer.total and (known is None or known.done < layer.done):
            self._layers[layer.name] = layer
        now = time.monotonic()
        if self._layers and now - self._told >= EVERY:
            self._told = now
            done = sum(one.done for one in self._layers.values()) / 1e6
            total = sum(one.total for one in self._layers.values()) / 1e6
            self._say(f"pulling {self._image}: {done:.0f} of {total:.0f} MB")
            self._waits(f"image {self._image} is being pulled: {done:.0f} of {total:.0f} MB")

    def _say(self, text: str) -> None:
        loglines.write(self._log, loglines.line(text))
