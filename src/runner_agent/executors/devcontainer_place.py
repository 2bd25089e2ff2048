"""The dev container as its labels and the Engine describe it: which one it is, and how to be at home in it.

Properties come from the label `devcontainer.metadata`, entries in order, as the dev container specification
merges them: of `remoteUser` and `workspaceFolder` the last wins, of `remoteEnv` the last of each variable.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import cast

from runner_agent.model.frozen import dataclass

METADATA = "devcontainer.metadata"
LOCAL_FOLDER = "devcontainer.local_folder"
_LABEL = "label="
_VARIABLE = re.compile(r"\$\{(containerEnv|localEnv|env):([^:}]+)(?::([^}]*))?\}")

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DevContainer:
    """One start of a dev container: `pid` is its first process's, `started_at` the Engine's word for when.

    `user` is whom commands run as there, "" for whom the container's image says; `folder` their working
    directory. `env` comes on top of the container's own environment, and `unset` are taken from it.
    """

    id: str
    name: str
    pid: int
    started_at: str
    user: str
    folder: str
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    unset: tuple[str, ...] = ()
    path: str = ""
    what: str = "the dev container"

    @property
    def called(self) -> str:
        """What messages call it."""
        return f"{self.what} {self.name}"

    @property
    def start(self) -> str:
        """Names this very start: it is new when the container is started again, and when it is rebuilt."""
        return f"{self.id}@{self.started_at}"


@dataclass(frozen=True, slots=True)
class Selector:
    """How the setting names the container: `label=KEY=VALUE`, `label=KEY`, or a name or id."""

    text: str

    @property
    def label(self) -> str | None:
        """KEY=VALUE or KEY; None if it is a name or an id."""
        return self.text.removeprefix(_LABEL) if self.text.startswith(_LABEL) else None


def of_inspection(told: Json, workspace: Path) -> DevContainer | None:
    """What an inspection says of a container that runs; None if it does not. `workspace` is the folder on
    the machine that commands would run in there.
    """
    state, config = _object(told.get("State")), _object(told.get("Config"))
    pid = state.get("Pid")
    if not isinstance(pid, int) or pid <= 0:
        return None
    if not state.get("Running") or state.get("Restarting") or state.get("Paused"):
        return None
    own = _variables(_items(config.get("Env")))
    labels = {key: str(value) for key, value in _object(config.get("Labels")).items()}
    entries = _entries(labels.get(METADATA, ""))
    remote = _remote_env(entries, own)
    return DevContainer(
        id=str(told.get("Id", "")),
        name=str(told.get("Name", "")).removeprefix("/"),
        pid=pid,
        started_at=str(state.get("StartedAt", "")),
        user=_last(entries, "remoteUser") or str(config.get("User") or ""),
        folder=_folder(told, entries, labels, workspace),
        env={name: value for name, value in remote.items() if value is not None},
        unset=tuple(name for name, value in remote.items() if value is None),
        path=str(remote.get("PATH") or own.get("PATH", "")),
    )


def _folder(told: Json, entries: Sequence[Json], labels: Mapping[str, str], workspace: Path) -> str:
    """Named by the metadata; else where the workspace is mounted; else the container's own."""
    named = _last(entries, "workspaceFolder")
    if named.startswith("/"):
        return named
    mounts = [_object(one) for one in _items(told.get("Mounts"))]
    pairs = [(str(one.get("Source", "")), str(one.get("Destination", ""))) for one in mounts]
    for wanted in filter(None, (str(workspace), labels.get(LOCAL_FOLDER, ""))):
        if (found := _mounted(wanted, pairs)) is not None:
            return found
    return str(_object(told.get("Config")).get("WorkingDir") or "") or "/"


def _mounted(folder: str, pairs: Iterable[tuple[str, str]]) -> str | None:
    """Where a folder of the machine is seen in the container: below the mount that is nearest to it."""
    found = ""
    best = -1
    path = PurePosixPath(folder)
    for source, target in pairs:
        if source and path.is_relative_to(source) and len(source) > best:
            best = len(source)
            found = str(PurePosixPath(target) / path.relative_to(source))
    return found or None


def _entries(label: str) -> Sequence[Json]:
    """The label holds a list of objects, or a single one. What is not JSON says nothing."""
    try:
        value: object = json.loads(label) if label else []
    except ValueError:
        return ()
    return [_object(one) for one in (cast("list[object]", value) if isinstance(value, list) else [value])]


def _last(entries: Sequence[Json], name: str) -> str:
    return next((str(one[name]) for one in reversed(entries) if one.get(name)), "")


def _remote_env(entries: Sequence[Json], own: Mapping[str, str]) -> dict[str, str | None]:
    """None for what is to be unset. Variables of the machine, where the label has them, are empty here."""

    def value(match: re.Match[str]) -> str:
        known = own.get(match[2]) if match[1] == "containerEnv" else None
        return known if known is not None else match[3] or ""

    found: dict[str, str | None] = {}
    for entry in entries:
        for name, text in _object(entry.get("remoteEnv")).items():
            found[name] = None if text is None else _VARIABLE.sub(value, str(text))
    return found


def _variables(items: Iterable[object]) -> dict[str, str]:
    return {name: value for name, _, value in (str(item).partition("=") for item in items)}


def _object(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _items(value: object) -> Sequence[object]:
    return cast("list[object]", value) if isinstance(value, list) else ()
