"""Settings: every choice a platform engineer has, one field each, with its default, unit and reason.

Precedence: flag, environment (RUNNER_AGENT_ and the name in capitals), configuration file, default.
"""

import os
from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runner_agent.client.addresses import (
    NO_HOME,
    SYSTEM_SOCKET,
    Address,
    TcpAddress,
    UnixAddress,
    default_state_dir,
    home_folder,
)
from runner_agent.daemon.settings_secrets import credentials_directory
from runner_agent.daemon.settings_values import PATHS, parsed, trigger
from runner_agent.executors.delegated import AUTO, NO_LIMITS, RunLimits
from runner_agent.model.errors import InvalidArgument, Violation
from runner_agent.model.frozen import dataclass
from runner_agent.model.phases import Trigger

if TYPE_CHECKING:
    from runner_agent.daemon.settings_file import Found

PREFIX = "RUNNER_AGENT_"
SOCKET_NAME = "api.sock"


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The flags of `serve`; None or empty is "not given"."""

    state_dir: Path | None = None
    workspace: Path | None = None
    listen: tuple[str, ...] = ()
    automations: Path | None = None
    config: Path | None = None
    fire: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What the agent runs with. Durations are seconds; a size is bytes.

    `workspace` is where commands run and default automations files are looked for. `shell` runs them, with
    `-c`; "" is
    bash, or sh where there is none. `run_as` is the user they run as; "" is the agent's own. `environment` is
    given to
    every command. `secrets` are folders by scope (user, project, organization) with a file for each secret,
    `secret_environment` the secrets, by id, that every command is given; `credentials` is where systemd puts
    those of the service. `service_stop_grace` and `task_stop_grace` are the two minutes of rules 3.7 and 4.6;
    `ready_attempt_timeout` bounds one `ready` attempt, 0 is no bound (rule 3.3). `log_cap` bounds each log
    file.
    `executions_kept` and `executions_age` bound what is remembered of each task (rule 4.9). `external_url` is
    where clients elsewhere reach the API. `environment_id` is fixed by the platform, else drawn once. `fire`
    are events to fire once ready; `post_machine_start` tells whether that one is fired by the agent itself,
    once per boot. With `prebuild` nothing is fired but by a prebuild, and the user scope of secrets is shut:
    for the machine that an image is made on; `prebuild_timeout_least` is the shortest time limit a prebuild
    may be given. `cgroup` is a folder of a version 2 hierarchy that is given over to us, in which each run
    gets a cgroup of its own; `auto` is that of the scope our systemd units make, if there is one; with `none`
    a run's subtree is walked. `run_limits` are for each run in such a cgroup (see RunLimits). `launcher_unit`
    is the systemd unit that runs the launcher; "" is none: the agent starts and ends one. `devcontainer` is
    the container that commands run in unless their `runsOn` says otherwise: a name, or `label=KEY=VALUE`; ""
    is none: they run on the machine. `log_level` is the least that the agent's own log tells.
    """

    state_dir: Path
    workspace: Path
    listen: tuple[str, ...] = ()
    automations: Path | None = None
    fire: tuple[Trigger, ...] = ()
    shell: str = ""
    run_as: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    secret_environment: Mapping[str, str] = field(default_factory=dict[str, str])
    credentials: str = ""
    environment_id: str = ""
    external_url: str = ""
    token: str = ""
    service_stop_grace: float = 120.0
    task_stop_grace: float = 120.0
    ready_attempt_timeout: float = 0.0
    log_cap: int = 64 << 20
    executions_kept: int = 200
    executions_age: float = 30 * 86400.0
    post_machine_start: bool = True
    prebuild: bool = False
    prebuild_timeout_least: float = 300.0
    cgroup: str = AUTO
    run_limits: RunLimits = NO_LIMITS
    launcher_unit: str = ""
    devcontainer: str = ""
    log_level: str = "info"


_NAMES = frozenset(one.name for one in fields(Settings))


def load(options: ServeOptions, environ: Mapping[str, str] | None = None, uid: int | None = None) -> Settings:
    """All settings of a daemon. Raises InvalidArgument listing every value that cannot be used, and where it
    was found.
    """
    environ = os.environ if environ is None else environ
    uid = os.getuid() if uid is None else uid
    wrong: list[Violation] = []
    found: dict[str, object] = {}
    for name, raw, place in (*_from_file(options, environ, uid, wrong), *_from_environ(environ)):
        try:
            found[name] = parsed(name, raw)
        except ValueError as error:
            wrong.append(Violation(f"{place}: {name}", str(error)))
    found.update(_from_flags(options, wrong))
    if wrong:
        raise InvalidArgument(*wrong)
    if "state_dir" not in found:
        found["state_dir"] = _default_state(environ, uid)
    if "workspace" not in found:
        found["workspace"] = _current_folder()
    found.setdefault("credentials", credentials_directory(environ))
    for name in PATHS & found.keys():
        found[name] = cast("Path", found[name]).absolute()
    if "listen" in found:
        found["listen"] = tuple(map(_whole, cast("tuple[str, ...]", found["listen"])))
    _require_usable(found)
    _require_directory(cast("Path", found["workspace"]))
    given = cast("tuple[str, ...]", found.get("listen", ()))
    own = _own_socket(options, cast("Path", found["state_dir"]), environ, uid)
    # Also beside TCP alone: the commands of runs ask the agent there, and know no token.
    if not any(address.startswith("unix:") for address in given) and (not given or _fits(own)):
        found["listen"] = (*given, f"unix:{own}")
    return Settings(**cast("dict[str, Any]", found))


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise InvalidArgument(
            Violation(
                "workspace",
                "the working directory does not exist any more; cd to one that does, or use --workspace",
            )
        ) from None


def _default_state(environ: Mapping[str, str], uid: int) -> Path:
    state = default_state_dir(environ, uid)
    if state is None:
        raise InvalidArgument(Violation("state_dir", NO_HOME))
    return state


def _require_usable(found: Mapping[str, object]) -> None:
    """The API tells of paths as text. Commands of ours lie below the state directory: PATH leads there."""
    given = [(name, str(found[name])) for name in sorted(PATHS & found.keys())]
    given += [("listen", address) for address in cast("tuple[str, ...]", found.get("listen", ()))]
    for name, path in given:
        told = "it is not UTF-8" if not _is_text(path) else ""
        if name == "state_dir" and ":" in path:
            told = "it holds a colon, which parts folders in PATH"
        if told:
            advice = f"name another one with --{name.replace('_', '-')}"
            raise InvalidArgument(Violation(name, f"{path} cannot be used: {told}; {advice}"))


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole(address: str) -> str:
    """A unix socket is found from every directory."""
    path = address.removeprefix("unix:").removeprefix("//")
    return f"unix:{Path(path).absolute()}" if address.startswith("unix:") and path else address


def _require_directory(workspace: Path) -> None:
    if not workspace.is_dir():
        what = "is not a directory" if os.path.lexists(workspace) else "does not exist"
        advice = "make it, or name another one with --workspace or RUNNER_AGENT_WORKSPACE"
        raise InvalidArgument(Violation("workspace", f"{workspace} {what}; {advice}"))


def _from_flags(options: ServeOptions, wrong: list[Violation]) -> dict[str, object]:
    given: dict[str, object] = {}
    for name in ("state_dir", "workspace", "automations", "listen"):
        if value := getattr(options, name):
            given[name] = value
    try:
        if options.fire:
            given["fire"] = tuple(trigger(name) for name in options.fire)
    except ValueError as error:
        wrong.append(Violation("--fire", str(error)))
    return given


def _from_environ(environ: Mapping[str, str]) -> list[tuple[str, object, str]]:
    names = ((name, PREFIX + name.upper()) for name in sorted(_NAMES))
    return [(name, environ[key], key) for name, key in names if environ.get(key)]


def _from_file(
    options: ServeOptions, environ: Mapping[str, str], uid: int, wrong: list[Violation]
) -> "list[Found]":
    path = config_path(options, environ, uid)
    named = options.config is not None or bool(environ.get(f"{PREFIX}CONFIG"))
    if path is None or (not named and not os.path.lexists(path)):
        return []
    from runner_agent.daemon.settings_file import read_file

    return read_file(path, _NAMES, wrong)


def config_path(options: ServeOptions, environ: Mapping[str, str], uid: int) -> Path | None:
    """The configuration file: --config, RUNNER_AGENT_CONFIG, else the fixed place for root and for others;
    None for a user without a home.
    """
    if options.config is not None:
        return options.config
    if named := environ.get(f"{PREFIX}CONFIG"):
        return Path(named)
    if uid == 0:
        return Path("/etc/runner-agent/config.yaml")
    base = home_folder(environ, uid, "XDG_CONFIG_HOME", ".config")
    return base / "runner-agent/config.yaml" if base is not None else None


def _own_socket(options: ServeOptions, state_dir: Path, environ: Mapping[str, str], uid: int) -> Path:
    """The API socket, as the interface fixes it: beside an explicit state directory, else in the run-time
    directory.
    """
    explicit = options.state_dir is not None or bool(environ.get(f"{PREFIX}STATE_DIR"))
    if explicit:
        return state_dir / SOCKET_NAME
    if uid == 0:
        return SYSTEM_SOCKET
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    return (Path(runtime) / "runner-agent" if runtime.startswith("/") else state_dir) / SOCKET_NAME


def _fits(path: str | Path) -> bool:
    """Whether it can be the address of a unix socket."""
    return len(os.fsencode(path)) <= 107


def parse_listen(text: str) -> Address:
    """`unix:PATH` or `tcp:HOST:PORT`; port 0 takes a free one, FIRST-LAST the first that is free. Raises
    InvalidArgument.
    """
    if text.startswith("unix:") and len(text) > len("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not _fits(path):
            raise InvalidArgument(
                Violation(
                    "--listen",
                    f"the socket path {path} is longer than the 107 bytes Linux takes; "
                    "choose a shorter one here, or a shorter --state-dir",
                )
            )
        return UnixAddress(path)
    host, _, port = text.removeprefix("tcp:").rpartition(":")
    if text.startswith("tcp:") and host and (ports := ports_of(port)):
        return TcpAddress(host.strip("[]"), ports[0])
    raise InvalidArgument(
        Violation("--listen", f"cannot listen on {text!r}: give unix:PATH or tcp:HOST:PORT")
    )


def ports_of(text: str) -> range:
    """The ports in `7780` or `7780-7799`; none where it is neither."""
    ports = text.rpartition(":")[2]
    first, dash, last = ports.partition("-")
    if len(ports) > len("65535-65535") or not first.isdecimal() or (dash and not last.isdecimal()):
        return range(0)
    found = range(int(first), int(last or first) + 1)
    return found if found and found[-1] < 65536 else range(0)
