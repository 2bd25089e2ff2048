"""Every value this agent has read since it started, kept in memory so that none of them is shown (rule 5.6).

One run may print what another got, so what hides them is the same for all.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner_agent.launcher.redactor import Redactor

VALUES_KEPT = 4
"""Of one secret, the newest: a run that started before it was rotated may still print the old one."""

WITHHELD = "[withheld]"
"""Stands for an output of which nobody can tell whether it holds a secret."""


class KnownSecrets:
    """Values by id."""

    def __init__(self) -> None:
        self._values: dict[str, deque[str]] = {}
        self._redactor: Redactor | None = None

    def learn(self, id_: str, value: str) -> None:
        """It was read."""
        values = self._values.setdefault(id_.lower(), deque(maxlen=VALUES_KEPT))
        if value in values:
            values.remove(value)
        else:
            self._redactor = None
        values.append(value)

    def knows(self, id_: str) -> bool:
        """A value of it was read."""
        return id_.lower() in self._values

    def values(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys(value for values in self._values.values() for value in values))

    def redact(self, text: str) -> str:
        """The text without any of them."""
        if not text or not self._values:
            return text
        if self._redactor is None:
            from runner_agent.launcher.redactor import Redactor  # most agents never have a secret

            self._redactor = Redactor(value.encode() for value in self.values())
        data = text.encode("utf-8", "surrogateescape")
        shown = self._redactor.feed(data) + self._redactor.finish()
        return shown.decode("utf-8", "surrogateescape")


class Redaction:
    """What hides secrets in the outputs of one run, which was given those named by `ids`."""

    def __init__(self, known: KnownSecrets, ids: Iterable[str] = ()) -> None:
        self._known, self._ids = known, tuple(ids)

    def text(self, text: str) -> str:
        """A text as it may be shown."""
        return self._known.redact(text)

    def outputs(self, entries: Mapping[str, str]) -> dict[str, str]:
        """The entries as they may be shown. A run some of whose secrets cannot be read any more, as after a
        restart of the agent, may have written them: its values are withheld.
        """
        blind = not all(self._known.knows(id_) for id_ in self._ids)
        redact = self._known.redact
        return {redact(key): WITHHELD if blind and value else redact(value) for key, value in entries.items()}
