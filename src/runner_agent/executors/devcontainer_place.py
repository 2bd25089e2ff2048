"""The dev container as its labels and the Engine describe it: which one it is, and how to be at home in it.

Properties come from the label `devcontainer.metadata`, entries in order, as the dev container specification
merges them: of `remoteUser` and `workspaceFolder` the last wins, of `remoteEnv` the last of each variable.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path, PurePosixPath
from typing import cast

from runner_agent.executors.devcontainer_variables import LOCAL_FOLDER, Filled, Variables, named
from runner_agent.kit.reading import value_of
from runner_agent.model.frozen import dataclass

METADATA = "devcontainer.metadata"
_LABEL = "label="

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DevContainer:
    """One start of a dev container: `pid` is its first process's, `started_at` the Engine's word for when.

    `user` is whom commands run as there, "" for whom the container's image says; `folder` their working
    directory. `env` comes on top of the container's own environment, and `unset` are taken from it.
    `refusal` says why nothing can run there, `warnings` what its properties say in vain.
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
    refusal: str = ""
    warnings: tuple[str, ...] = ()

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


def of_inspection(told: Json, workspace: Path, environ: Mapping[str, str]) -> DevContainer | None:
    """What an inspection says of a container that runs; None if it does not. `workspace` is the folder on
    the machine that commands would run in there, `environ` the agent's own environment.
    """
    bare = of_container(told, workspace)
    if bare is None:
        return None
    config = _object(told.get("Config"))
    own = _variables(_items(config.get("Env")))
    labels = {key: str(value) for key, value in _object(config.get("Labels")).items()}
    entries = _entries(labels.get(METADATA, ""))
    local = labels.get(LOCAL_FOLDER) or str(workspace)
    known = Variables(environ, own, labels, local)
    wanted = known.of(_last(entries, "workspaceFolder"))
    folder = (
        wanted.text if wanted.text.startswith("/") else _seen(told, (str(workspace), local)) or bare.folder
    )
    known = replace(known, container_folder=folder)
    user = known.of(_last(entries, "remoteUser"))
    remote = {
        name: None if value is None else named(name, known.of(value))
        for name, value in _remote_env(entries).items()
    }
    env = {name: one.text for name, one in remote.items() if one is not None and not _left_out(one)}
    return replace(
        bare,
        user=user.text or bare.user,
        folder=folder,
        env=env,
        unset=tuple(name for name, one in remote.items() if one is None),
        path=str(env.get("PATH") or own.get("PATH", "")),
        refusal=_refusal({"workspaceFolder": wanted, "remoteUser": user}),
        warnings=tuple(_warnings(remote)),
    )


def of_container(told: Json, workspace: Path) -> DevContainer | None:
    """As it is without what its labels say of a dev container: they may be its image's."""
    state, config = _object(told.get("State")), _object(told.get("Config"))
    pid = state.get("Pid")
    if not isinstance(pid, int) or pid <= 0:
        return None
    if not state.get("Running") or state.get("Restarting") or state.get("Paused"):
        return None
    return DevContainer(
        id=str(told.get("Id", "")),
        name=str(told.get("Name", "")).removeprefix("/"),
        pid=pid,
        started_at=str(state.get("StartedAt", "")),
        user=str(config.get("User") or ""),
        folder=_seen(told, (str(workspace),)) or str(config.get("WorkingDir") or "") or "/",
        path=_variables(_items(config.get("Env"))).get("PATH", ""),
    )


def _left_out(one: Filled) -> bool:
    """A text without what was to stand in it means something else."""
    return any(not unknown.empty for unknown in one.unknown)


def _refusal(properties: Mapping[str, Filled]) -> str:
    """Why nothing can run there; "" if it can. As the wrong user, or elsewhere, is worse than not at all."""
    faults = [f"{name} has {unknown.why}" for name, one in properties.items() for unknown in one.unknown]
    if not faults:
        return ""
    lacking = any(unknown.empty for one in properties.values() for unknown in one.unknown)
    give = "give the agent that variable, or " if lacking else ""
    then = f"{give}write the value itself and make the dev container anew"
    return f"devcontainer.json: {'; '.join(faults)}; {then}"


def _warnings(remote: Mapping[str, Filled | None]) -> Iterator[str]:
    for name, one in remote.items():
        for unknown in one.unknown if one is not None else ():
            then = f"{name} is left out" if one is not None and _left_out(one) else "it is empty there"
            yield f"devcontainer.json: remoteEnv.{name} has {unknown.why}; {then}"


def _seen(told: Json, folders: Iterable[str]) -> str:
    """Where the first of the machine's folders that is mounted is seen in the container; "" if none is."""
    mounts = [_object(one) for one in _items(told.get("Mounts"))]
    pairs = [(str(one.get("Source", "")), str(one.get("Destination", ""))) for one in mounts]
    return next((found for folder in folders if (found := _mounted(folder, pairs)) is not None), "")


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
        value: object = value_of(label) if label else []
    except ValueError:
        return ()
    return [_object(one) for one in (cast("list[object]", value) if isinstance(value, list) else [value])]


def _last(entries: Sequence[Json], name: str) -> object:
    return next((one[name] for one in reversed(entries) if one.get(name)), "")


def _remote_env(entries: Sequence[Json]) -> Json:
    """None for what is to be unset."""
    return {name: value for entry in entries for name, value in _object(entry.get("remoteEnv")).items()}


def _variables(items: Iterable[object]) -> dict[str, str]:
    return {name: value for name, _, value in (str(item).partition("=") for item in items)}


def _object(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _items(value: object) -> Sequence[object]:
    return cast("list[object]", value) if isinstance(value, list) else ()
