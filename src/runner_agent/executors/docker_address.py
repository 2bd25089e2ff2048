"""Where the Docker Engine is, found as the docker command does. Standard library only: the CLI asks too."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from runner_agent.model.frozen import dataclass

USUAL = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Choice:
    """DOCKER_HOST and DOCKER_CONTEXT, "" for unset; `config`: the folder of the docker command's settings."""

    host: str = ""
    context: str = ""
    config: Path | None = None

    def address(self) -> str:
        """`unix:///path` or `tcp://host:port`, or whatever else stands there. Read anew at each call."""
        return self.host or self._of_context() or USUAL

    def folder(self) -> Path:
        """Of the docker command's settings."""
        try:
            return self.config or Path.home() / ".docker"
        except RuntimeError:  # a user without a home
            return Path("/.docker")

    def _of_context(self) -> str:
        """The address of the docker command's context, "" for the default one or an unreadable one."""
        try:
            home = self.folder()
            name = self.context
            if not name:
                text = (home / "config.json").read_text(encoding="utf-8")
                name = str(cast("dict[str, object]", json.loads(text)).get("currentContext", ""))
            if name in {"", "default"}:
                return ""
            folder = hashlib.sha256(name.encode()).hexdigest()
            meta = json.loads((home / "contexts/meta" / folder / "meta.json").read_text(encoding="utf-8"))
            return str(meta["Endpoints"]["docker"]["Host"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""


def choice(environ: Mapping[str, str]) -> Choice:
    """As an environment says."""
    config = environ.get("DOCKER_CONFIG", "")
    return Choice(
        environ.get("DOCKER_HOST", ""), environ.get("DOCKER_CONTEXT", ""), Path(config) if config else None
    )
