"""Hiding secrets in a stream: every occurrence of every disguise, however the stream is cut (rule 5.6).

What is masked is the union of all occurrences, overlapping ones too, each stretch by one mask: so the result
depends on the text alone and not on how it came. Held is only what may be the beginning of an occurrence.
"""

from runner_agent.launcher.disguises import LEAST, disguises
from runner_agent.launcher.needles import Few
from runner_agent.launcher.spread import Spread

__all__ = ("LEAST", "MANY", "Redactor", "redact")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MANY = 8192
"""Bytes of secrets from which on their disguises are too many to be known one by one."""


class Redactor:
    """Masks secrets in one stream."""

    def __init__(self, secrets: "Iterable[bytes] | Spread") -> None:
        """Secrets of fewer than LEAST characters are passed over."""
        if not isinstance(secrets, Spread):
            values = tuple(secrets)
            known = Spread.of(values) if sum(map(len, values)) > MANY else None
        else:
            known, values = secrets, ()
        self._finder = known or Few(set[bytes]().union(*map(disguises, values)))
        self._held = b""
        self._masked = 0  # so many bytes at the beginning of what is held are masked already

    def feed(self, data: bytes) -> bytes:
        """What can be shown now."""
        return self._advance(data, last=False)

    def finish(self) -> bytes:
        """The rest: nothing follows."""
        return self._advance(b"", last=True)

    def _advance(self, data: bytes, *, last: bool) -> bytes:
        if not self._finder.longest:
            return data
        text = self._held + data if self._held else data
        if not text:
            return b""
        found, end = self._finder.look(text, len(self._held), last=last)
        shown: list[bytes] = []
        at = self._masked  # all before is told
        for start, stop in found:
            if start >= end:
                break
            if start >= at:
                shown += (text[at:start], self._finder.mask)
            at = max(at, stop)
        if at < end:
            shown.append(text[at:end])
        self._masked = max(0, at - end)
        self._held = text[end:]
        return b"".join(shown)


def redact(text: str, secrets: "Iterable[str]") -> str:
    """A whole text."""
    redactor = Redactor([secret.encode("utf-8", "surrogateescape") for secret in secrets])
    data = text.encode("utf-8", "surrogateescape")
    return (redactor.feed(data) + redactor.finish()).decode("utf-8", "surrogateescape")
