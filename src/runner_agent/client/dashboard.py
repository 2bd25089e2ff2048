"""A way into the dashboard: a code that signs one browser in, and where the page is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner_agent.client.transport import Transport


@dataclass(frozen=True, slots=True)
class SignInCode:
    """Good once, for `expires_in` seconds. `urls`: where a browser finds the page, the best first."""

    code: str
    expires_in: int
    urls: tuple[str, ...]

    @property
    def links(self) -> tuple[str, ...]:
        """The code stands in the fragment, which browsers keep to themselves."""
        return tuple(f"{url}#code={self.code}" for url in self.urls)


def sign_in_code(transport: Transport) -> SignInCode:
    """A fresh one. Raises AgentUnreachable, ApiError."""
    told: Any = transport.unary("session/code", {})
    return SignInCode(str(told["code"]), int(told["expiresIn"]), tuple(told["urls"]))
