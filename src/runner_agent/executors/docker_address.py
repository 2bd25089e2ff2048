"""Where the Docker Engine is, found as the docker command does. Standard library only: the CLI asks too."""

import hashlib
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import cast

from runner_agent.kit.reading import value_of
from runner_agent.model.errors import CannotStart
from runner_agent.model.frozen import dataclass

USUAL = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Choice:
    """DOCKER_HOST and DOCKER_CONTEXT, "" for unset; `config`: the folder of the docker command's settings.

    `environ` is the environment that they are from.
    """

    host: str = ""
    context: str = ""
    config: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict[str, str], repr=False, compare=False)

    def address(self) -> str:
        """`unix:///path` or `tcp://host:port`, or whatever else stands there. Read anew at each call.

        Raises CannotStart for a context that does not exist: another Engine is not the one that was meant.
        """
        return self.host or self._of_context() or USUAL

    def folder(self) -> Path:
        """Of the docker command's settings."""
        try:
            return self.config or Path.home() / ".docker"
        except RuntimeError:  # a user without a home
            return Path("/.docker")

    def _of_context(self) -> str:
        """The address of the docker command's context, "" for the default one. Raises CannotStart."""
        home = self.folder()
        name, named_by = self.context, "DOCKER_CONTEXT"
        if not name:
            name, named_by = _current(home / "config.json"), f"currentContext in {home / 'config.json'}"
        if name in {"", "default"}:
            return ""
        file = home / "contexts/meta" / hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        file /= "meta.json"
        try:
            meta = cast("dict[str, dict[str, dict[str, object]]]", value_of(file.read_text(encoding="utf-8")))
            return str(meta["Endpoints"]["docker"].get("Host") or "")
        except FileNotFoundError:
            fault = "does not exist"
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            fault = (
                f"cannot be read from {file} ({getattr(error, 'strerror', None) or 'no context of Docker'})"
            )
        raise CannotStart(
            f"the Docker context {name}, which {named_by} names, {fault}: see `docker context ls`, then name"
            " one that exists, or set DOCKER_HOST"
        )


def _current(config: Path) -> str:
    """The context in use, "" where the file names none or cannot be read: the docker command does without."""
    try:
        told = value_of(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    name = cast("dict[str, object]", told).get("currentContext") if isinstance(told, dict) else ""
    return name if isinstance(name, str) else ""


def choice(environ: Mapping[str, str]) -> Choice:
    """As an environment says."""
    config = environ.get("DOCKER_CONFIG", "")
    return Choice(
        environ.get("DOCKER_HOST", ""),
        environ.get("DOCKER_CONTEXT", ""),
        Path(config) if config else None,
        environ,
    )
