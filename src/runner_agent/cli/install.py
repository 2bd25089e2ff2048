"""`install` and `uninstall`: the agent as a service of systemd, and no more of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

import click

from runner_agent.cli import installation as machine
from runner_agent.cli.exits import FAILED, INVALID, Quit
from runner_agent.cli.installation import Change
from runner_agent.cli.options import FOLDER, NamedPath
from runner_agent.cli.terminal import note, out
from runner_agent.cli.unit_files import (
    AGENT,
    LAUNCHER,
    PREBUILD,
    SCOPE,
    UNITS,
    plain_file,
    this_program,
    unit_files,
)
from runner_agent.cli.upstream_names import names, no_names

OWN, VENDOR = PurePosixPath("etc/systemd/system"), PurePosixPath("usr/lib/systemd/system")
CONFIG, STATE, LOGS, RUNTIME = (
    *("etc/runner-agent/config.yaml", "var/lib/runner-agent", "var/log/runner-agent", "run/runner-agent"),
)
TMPFILES, SYSUSERS = "tmpfiles.d/runner-agent.conf", "sysusers.d/runner-agent.conf"
WORKSPACE = Path("/workspace")
BACKOFF = "runner-agent.service.d/10-back-off.conf"
_BACKOFF_TEXT = """\
# systemd 254 and newer: rest longer after each failure.
[Service]
RestartSteps=6
RestartMaxDelaySec=30s
"""
ROOT = click.Option(
    ["--root"],
    default="/",
    type=NamedPath(path_type=Path, readable=False, resolve_path=True),  # programs are told of it, too
    metavar="DIR",
    help="Change the system below DIR, that does not run.",
)


@click.command(params=[ROOT])
@click.option("--user", metavar="NAME", default="", help="Who services and tasks run as; made if need be.")
@click.option("--workspace", metavar="DIR", type=FOLDER, help=f"Where they run; {WORKSPACE} by default.")
@click.option("--no-start", is_flag=True, help="Start it at the next boot, not now: for images.")
@click.option(
    "--upstream-names",
    is_flag=True,
    help="Also put `gitpod` and `ona` into /usr/local/bin, where no other has these names.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--vendor", type=FOLDER, hidden=True, help="Only the units, for a package; the prefix it goes to."
)
def install(
    root: Path,
    user: str,
    workspace: Path | None,
    no_start: bool,
    upstream_names: bool,
    dry_run: bool,
    vendor: Path | None,
) -> None:
    """Make the agent a service that systemd starts at boot.

    Writes units, a configuration file, the user if there is none yet, and directories; then enables the
    service and starts it. What is there already is left alone, so it may be done again, after an upgrade say:
    the agent is restarted where something changed, and what runs goes on.

    With --upstream-names, who is used to `gitpod automations ...` finds it in every shell, too,
    as what the agent runs always does. What goes by these names already stays.

    \b
    Example:
      runner-agent install --user dev --workspace /workspace --dry-run
      sudo runner-agent install --user dev --workspace /workspace
      sudo runner-agent install --upstream-names
    """
    if vendor is not None:
        _make(_vendor_files(root, vendor), dry_run=dry_run, root=root)
        return
    if workspace is not None and not workspace.is_absolute():
        raise Quit(INVALID, f"--workspace must be an absolute path, not {workspace}.")
    running = root == Path("/") and Path("/run/systemd/system").is_dir()
    changes = _changes(Target(root, user, workspace), running=running, start=not no_start)
    if upstream_names:
        changes += names(root)
    _make(changes, dry_run=dry_run, root=root)
    if not changes:
        note("The agent is installed already, just so.")
    elif not dry_run and not running:
        note("systemd does not run here: the agent starts with the next boot.")


def _changes(target: Target, *, running: bool, start: bool) -> list[Change]:
    """`running`: systemd does, here. Raises Quit."""
    changes = list(target.changes())
    active = running and machine.succeeds("systemctl", "is-active", "--quiet", AGENT)
    if running and changes:
        changes.append(machine.call("systemctl", "daemon-reload"))
    if running and not active and start:
        changes.append(_call_for_agent("start"))
    elif active and changes:
        changes.append(_call_for_agent("restart"))
    return changes


@click.command(params=[ROOT])
@click.option(
    "--purge", is_flag=True, help="Remove state, logs, configuration and the user made for it, too."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def uninstall(root: Path, purge: bool, dry_run: bool) -> None:
    """Undo `install`: bring everything down in order, then remove the units.

    State, configuration and user stay unless `--purge` is given, so that a later `install` goes on with them.
    The workspace always stays.

    \b
    Example:
      runner-agent uninstall --dry-run
      runner-agent uninstall --purge
    """
    changes = [*_stops(root), *_removals(root, purge=purge)]
    if root == Path("/") and Path("/run/systemd/system").is_dir() and changes:
        changes.append(machine.call("systemctl", "daemon-reload"))
    if (root / VENDOR / AGENT).exists():
        note("The units belong to a package: remove that, too.")
    _make(changes, dry_run=dry_run, root=root)
    if not changes:
        note("The agent is not installed here.")


def _make(changes: Sequence[Change], *, dry_run: bool, root: Path) -> None:
    if changes and not dry_run and os.geteuid() and root == Path("/"):
        raise Quit(FAILED, "Only root can do that: use sudo, or look at it with --dry-run.")
    for change in changes:
        out(change.told)
        if not dry_run:
            change.make()


def _call_for_agent(verb: str) -> Change:
    return machine.call("systemctl", verb, AGENT, advice=f"See `journalctl -u {AGENT}`.")


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be had on a system: its root, who runs commands ("": root), where (None: as configured)."""

    root: Path
    user: str
    workspace: Path | None

    def changes(self) -> Iterator[Change]:
        """In the order to be made. Raises Quit."""
        user, workspace = self._settled()
        packaged = (self.root / VENDOR / AGENT).exists()
        if not packaged:
            for path, text in unit_files(this_program(), OWN):
                yield from machine.file(self.root / path, text)
            yield from machine.file(self.root / "etc" / TMPFILES, plain_file("runner-agent.tmpfiles.conf"))
        if _knows_back_off():
            yield from machine.file(self.root / OWN / BACKOFF, _BACKOFF_TEXT)
        yield from self._user(user)
        yield from machine.file(self.root / CONFIG, self._config(), 0o600)
        yield from machine.folder(self.root / STATE, 0o711)
        yield from machine.folder(self.root / str(workspace).lstrip("/"), 0o755, user, self.root)
        units = VENDOR if packaged else OWN
        yield from machine.link(self.root / OWN / "multi-user.target.wants" / AGENT, f"/{units / AGENT}")

    def _settled(self) -> tuple[str, Path]:
        """User and workspace: as asked for, else as configured, else as usual."""
        from runner_agent.control.automations_yaml import load_yaml

        text = self._config_there() or ""
        try:
            present = load_yaml(text)
        except ValueError as error:
            raise Quit(INVALID, f"{self.root / CONFIG} cannot be read as YAML: {error}") from None
        settings = cast("dict[object, object]", present if isinstance(present, dict) else {})
        user = self.user or str(settings.get("run_as") or "")
        return user, self.workspace or Path(str(settings.get("workspace") or WORKSPACE))

    def _config_there(self) -> str | None:
        try:
            return (self.root / CONFIG).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def _config(self) -> str:
        from runner_agent.cli.config_text import CannotEdit, with_settings

        there = self._config_there()
        wanted = {"workspace": str(self._settled()[1])} if self.workspace or there is None else {}
        if self.user:
            wanted["run_as"] = self.user
        try:
            return with_settings(there, wanted)
        except CannotEdit as error:
            raise Quit(INVALID, f"{self.root / CONFIG} {error}") from None

    def _user(self, name: str) -> Iterator[Change]:
        if not name or machine.account(self.root, name):
            return
        home = f"/home/{name}"
        path = self.root / "etc" / SYSUSERS
        yield from machine.file(path, plain_file("runner-agent.sysusers.conf", {"USER": name, "HOME": home}))
        if shutil.which("systemd-sysusers"):
            yield machine.call("systemd-sysusers", f"--root={self.root}", str(path))
        else:
            yield machine.call(
                "useradd", "--root", str(self.root), "--system", "--shell", "/bin/bash", "-d", home, name
            )
        yield from machine.folder(self.root / home.lstrip("/"), 0o750, name, self.root)


def _knows_back_off() -> bool:
    """systemd 254 has RestartSteps."""
    version = machine.said("systemctl", "--version").split()[1:2]
    return bool(version) and version[0].isdecimal() and int(version[0]) >= 254


def _vendor_files(root: Path, prefix: Path) -> list[Change]:
    import sys

    program = this_program().moved(Path(sys.prefix), prefix)
    files = list(unit_files(program, VENDOR))
    files.append((f"usr/lib/{TMPFILES}", plain_file("runner-agent.tmpfiles.conf")))
    return [change for path, text in files for change in machine.file(root / path, text)]


def _stops(root: Path) -> Iterator[Change]:
    """The agent first and in order, then what it rested on."""
    if root != Path("/") or not Path("/run/systemd/system").is_dir():
        return
    for unit in (PREBUILD, AGENT, LAUNCHER, SCOPE):
        if machine.succeeds("systemctl", "is-active", "--quiet", unit):
            yield machine.call("systemctl", "stop", unit)


def _removals(root: Path, *, purge: bool) -> Iterator[Change]:
    yield from machine.gone(root / OWN / "multi-user.target.wants" / AGENT)
    for name in (*UNITS, BACKOFF):
        yield from machine.gone(root / OWN / name)
    yield from machine.gone(root / "etc" / TMPFILES)
    yield from machine.gone(root / RUNTIME)
    yield from no_names(root)
    if not purge:
        return
    for path in (STATE, LOGS, str(Path(CONFIG).parent), OWN / f"{AGENT}.d"):
        yield from machine.gone(root / path)
    made = root / "etc" / SYSUSERS
    if made.exists():
        name = made.read_text(encoding="utf-8").splitlines()[-1].split()[1]
        yield from machine.gone(made)
        if machine.account(root, name):
            yield machine.call("userdel", *([] if root == Path("/") else ["--root", str(root)]), name)
