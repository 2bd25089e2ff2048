"""The settings that say where secrets are and which of them every run is given (rules 5.2, 5.6)."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from runner_agent.daemon.settings_limits import once
from runner_agent.secrets.folders import Folder, Scope, is_secret_id

CREDENTIAL = "runner-agent.{scope}_"
"""How the name of a systemd credential begins that is a secret: as LoadCredential= names a folder's files."""


def parsed_stores(raw: object) -> dict[str, str]:
    """Folders by scope. Raises ValueError saying what is accepted."""
    stores = _pairs(raw, "SCOPE=FOLDER")
    scopes = [scope.value for scope in Scope]
    for scope, folder in stores.items():
        if scope not in scopes:
            raise ValueError(f"{scope!r} is not a scope; scopes are {', '.join(scopes)}")
        if not folder.startswith("/") or "\0" in folder:
            raise ValueError(f"must name the absolute path of the folder for {scope}")
    return stores


def parsed_environment(raw: object) -> dict[str, str]:
    """Ids by variable. Raises ValueError. What is no id is not repeated: it may be a secret, put there."""
    variables = _pairs(raw, "NAME=ID")
    for name, secret_id in variables.items():
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} is no name of a variable")
        if not is_secret_id(secret_id):
            raise ValueError(f"must give {name} the id of a secret, which is a UUID, and never its value")
    return variables


def folders(stores: Mapping[str, str], credentials: str) -> list[Folder]:
    """What is to be asked: within a scope its own folder first, then systemd's credentials."""
    found: list[Folder] = []
    for scope in Scope:
        if scope.value in stores:
            found.append(Folder(scope, Path(stores[scope.value])))
        if credentials:
            found.append(Folder(scope, Path(credentials), CREDENTIAL.format(scope=scope.value)))
    return found


def credentials_directory(environ: Mapping[str, str]) -> str:
    """Where systemd put this service's credentials; "" if it has none."""
    path = environ.get("CREDENTIALS_DIRECTORY", "")
    return path if path and Path(path).is_dir() else ""


def _pairs(raw: object, form: str) -> dict[str, str]:
    if isinstance(raw, dict):
        items = cast("dict[object, object]", raw).items()
        if not all(isinstance(name, str) and isinstance(value, str) for name, value in items):
            raise ValueError(f"must be a map of text to text, {form.replace('=', ': ')}")
        return {str(name): str(value) for name, value in items}
    parts = [item.strip().partition("=") for item in str(raw).split(",")]
    if not isinstance(raw, str) or not all(equals for _, equals, _ in parts):
        raise ValueError(f"must be {form}, several parted by commas")
    return once((name, value) for name, _, value in parts)
