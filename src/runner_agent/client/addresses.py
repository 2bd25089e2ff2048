"""Where the agent is: addresses, the state directory, and who is asked first."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from runner_agent.client.errors import AgentUnreachable, BadAddress
from runner_agent.kit.reading import value_of

SYSTEM_STATE = Path("/var/lib/runner-agent")
SYSTEM_SOCKET = Path("/run/runner-agent/api.sock")
NO_HOME = (
    "There is no state directory to be found, for this user has no home directory. Name one with --state-dir,"
    " or set RUNNER_AGENT_STATE_DIR or HOME."
)


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket. The agent knows its caller by uid there; no token is needed."""

    path: str

    def __str__(self) -> str:
        """As `--address` takes it."""
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP listener; every request carries the bearer token."""

    host: str
    port: int

    def __str__(self) -> str:
        """As `--address` takes it."""
        return f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"


Address = UnixAddress | TcpAddress


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address, the token to show there ("" for none), and what told us of it, for messages."""

    address: Address
    token: str = ""
    source: str = "--address"


@dataclass(frozen=True, slots=True)
class AgentFile:
    """STATE/agent.json: written by an agent that is ready; may be left over from one that was killed."""

    pid: int
    addresses: tuple[Address, ...]
    environment_id: str
    version: str


def parse_address(text: str) -> Address:
    """`unix:PATH`, an absolute path, `tcp:HOST:PORT` or `http://HOST:PORT`. Raises BadAddress."""
    for prefix in ("unix://", "unix:"):
        if text.startswith(prefix) and len(text) > len(prefix):
            return UnixAddress(text.removeprefix(prefix))
    if text.startswith("/"):
        return UnixAddress(text)
    for prefix in ("tcp://", "tcp:", "http://"):
        if text.startswith(prefix):
            from urllib.parse import urlsplit

            try:
                split = urlsplit("//" + text.removeprefix(prefix))
                if split.hostname and split.port and split.path in {"", "/"}:
                    return TcpAddress(split.hostname, split.port)
            except ValueError:  # a port that is no number
                pass
    raise BadAddress(
        f"Cannot use {text!r} as the agent's address: give unix:/path/to/api.sock or tcp:HOST:PORT."
    )


def home_folder(environ: Mapping[str, str], uid: int, xdg: str, usual: str) -> Path | None:
    """The folder that the variable `xdg` names, else `usual` in the home; None for a user who has none.

    A path that is not absolute is no answer: it would be another one in each directory.
    """
    if (named := environ.get(xdg, "")).startswith("/"):
        return Path(named)
    home = environ.get("HOME", "")
    if not home.startswith("/"):
        try:
            home = pwd.getpwuid(uid).pw_dir
        except KeyError:  # a container may run with a uid that has no name
            return None
    return Path(home) / usual if home.startswith("/") else None


def default_state_dir(environ: Mapping[str, str], uid: int) -> Path | None:
    """RUNNER_AGENT_STATE_DIR, else the place the interface fixes for root and for others; None for a user
    without a home.
    """
    if named := environ.get("RUNNER_AGENT_STATE_DIR"):
        return Path(named)
    if uid == 0:
        return SYSTEM_STATE
    base = home_folder(environ, uid, "XDG_STATE_HOME", ".local/state")
    return base / "runner-agent" if base is not None else None


def read_agent_file(state_dir: Path) -> AgentFile | None:
    """What the agent of this state directory wrote, or None: there is none, or it is not ours to read."""
    try:
        content = cast("dict[str, object]", value_of((state_dir / "agent.json").read_text(encoding="utf-8")))
        addresses = tuple(parse_address(text) for text in cast("list[str]", content["addresses"]))
        return AgentFile(
            pid=cast("int", content["pid"]),
            addresses=addresses,
            environment_id=str(content.get("environmentId", "")),
            version=str(content.get("version", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, BadAddress):
        return None


def find_agent(
    address: str | None = None,
    state_dir: Path | None = None,
    environ: Mapping[str, str] | None = None,
    uid: int | None = None,
) -> Endpoint:
    """The agent to talk to. A flag wins over the environment. Raises BadAddress, AgentUnreachable."""
    environ = os.environ if environ is None else environ
    uid = os.getuid() if uid is None else uid
    state = state_dir or default_state_dir(environ, uid)
    if address:
        return _endpoint(parse_address(address), state, environ, "--address")
    if state_dir is None:
        if named := environ.get("RUNNER_AGENT_ADDRESS"):
            return _endpoint(parse_address(named), state, environ, "RUNNER_AGENT_ADDRESS")
        if named := environ.get("RUNNER_AGENT_SOCKET"):
            return _endpoint(parse_address(named), state, environ, "RUNNER_AGENT_SOCKET")
    if state is not None and (found := _from_agent_file(state, environ)):
        return found
    implied = state_dir is None and "RUNNER_AGENT_STATE_DIR" not in environ
    # A developer's command on a machine whose agent runs as a system service.
    if implied and state != SYSTEM_STATE:
        if found := _from_agent_file(SYSTEM_STATE, environ):
            return found
        if os.path.exists(SYSTEM_SOCKET):  # noqa: PTH110  Path's own raises where one may not look
            return Endpoint(UnixAddress(str(SYSTEM_SOCKET)), source=str(SYSTEM_SOCKET))
    if state is None:
        raise AgentUnreachable(NO_HOME)
    raise AgentUnreachable(
        f"No agent runs with the state directory {state} (there is no usable agent.json in it). "
        "Start one with `runner-agent up`, or name a running one with --address or --state-dir."
    )


def _from_agent_file(state: Path, environ: Mapping[str, str]) -> Endpoint | None:
    found = read_agent_file(state)
    if found is None or not found.addresses:
        return None
    chosen = next((each for each in found.addresses if isinstance(each, UnixAddress)), found.addresses[0])
    return _endpoint(chosen, state, environ, f"{state / 'agent.json'}, pid {found.pid}")


def _endpoint(address: Address, state: Path | None, environ: Mapping[str, str], source: str) -> Endpoint:
    token = environ.get("RUNNER_AGENT_TOKEN", "")
    if not token and state is not None and isinstance(address, TcpAddress):
        try:
            token = (state / "token").read_text(encoding="utf-8").strip()
        except OSError:
            token = ""  # the agent will say that one is needed
    return Endpoint(address, token, source)
