"""What `doctor` looks at of systemd: whether it runs here, the agent's units, and what the runs rest on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from runner_agent.cli.finding import Finding, broken, ok, remark
from runner_agent.cli.installation import said
from runner_agent.cli.unit_files import AGENT, LAUNCHER, SCOPE, this_program, unit_files

Look = Callable[[], Finding]

_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
OLDEST = 247
"""Of Debian 11: its units are ours, but for what it does not know and says so."""


def looks() -> Sequence[Look]:
    """In the order to be told; one where there is no systemd."""
    if not Path("/run/systemd/system").is_dir():
        return [
            lambda: remark("systemd", "not running here", "start the agent by `runner-agent serve` or `up`")
        ]
    return [_systemd, _units, _launcher]


def _systemd() -> Finding:
    version = said("systemctl", "--version").split()[1:2]
    number = int(version[0]) if version and version[0].isdecimal() else 0
    if number < OLDEST:
        return remark("systemd", f"version {number}", f"the units are tried with {OLDEST} and newer")
    return ok("systemd", f"running, version {number}")


def _units() -> Finding:
    folder = next((each for each in _FOLDERS if (Path(each) / AGENT).exists()), None)
    if folder is None:
        return remark("units", "not installed", "to start at boot: `runner-agent install`")
    # What a package has written speaks of its own program, which need not be the one that asks.
    if folder == _FOLDERS[0] and (other := _other_than_ours(folder)):
        return remark(
            "units",
            f"{', '.join(other)} in {folder} not as this version has it",
            "`runner-agent install` once more; what is changed by hand belongs into a drop-in",
        )
    enabled = said("systemctl", "is-enabled", AGENT)
    if enabled != "enabled":
        return remark(
            "units", f"{folder}/{AGENT}, {enabled}", f"to start at boot: `systemctl enable {AGENT}`"
        )
    failed = said("systemctl", "show", "--value", "-p", "Result", AGENT)
    if failed not in {"success", ""}:
        return broken("units", f"{AGENT} has failed: {failed}", f"see `journalctl -u {AGENT}`")
    return ok("units", f"in {folder}, enabled")


def _other_than_ours(folder: str) -> list[str]:
    ours = dict(unit_files(this_program(), PurePosixPath(folder)))
    return [Path(path).name for path, text in ours.items() if _text(path) != text]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _launcher() -> Finding:
    """And the scope: both come with the agent."""
    lacking = [unit for unit in (LAUNCHER, SCOPE) if said("systemctl", "is-active", unit) != "active"]
    if not lacking:
        return ok("launcher", f"{LAUNCHER} and {SCOPE} are active")
    if said("systemctl", "is-active", AGENT) != "active":
        return remark("launcher", "not active, as the agent", f"`systemctl start {AGENT}`")
    return remark(
        "launcher", f"{' and '.join(lacking)} not active", f"`systemctl restart {AGENT}`; what runs goes on"
    )
