"""`automations update` and `automations validate`: automations files, applied and checked."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner_agent.cli.completing import complete_file
from runner_agent.cli.exits import INVALID, Quit
from runner_agent.cli.file_messages import Applied, as_message, changes
from runner_agent.cli.options import with_agent, with_output
from runner_agent.cli.streams import outlive_reader
from runner_agent.cli.tables import emit
from runner_agent.cli.terminal import note
from runner_agent.cli.words import reference_of
from runner_agent.control.automations import (
    STARTER_FILE,
    check_automations,
    check_file,
    find_default,
    find_misplaced,
    identity,
    passed_over,
    read_automations,
    read_file,
)
from runner_agent.control.file_errors import FileError, FileErrors, FileWarning
from runner_agent.model.specs import AutomationsFile

if TYPE_CHECKING:
    from runner_agent.cli.file_messages import Change
    from runner_agent.client.agent import Agent
    from runner_agent.client.requests import AutomationsFile as FileMessage

STANDARD_INPUT = "-"


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, shell_complete=complete_file)
@click.option("--strict", is_flag=True, help="Accept only the triggers of the published schema.")
@with_output
def validate(files: tuple[str, ...], strict: bool, output: str) -> None:
    """Check automations files.

    Tells every error at once, with line and column, and warns of what is valid and will bite. Needs no agent.
    FILE may be - for standard input; without it the default file of this directory is checked. Warnings leave
    the exit code at 0; the comment `# runner-agent: ignore ID` in the line of one switches it off.

    \b
    Example:
      runner-agent automations validate .ona/automations.yaml
      runner-agent automations validate --json automations.yaml
    """
    found: dict[str, list[FileError | FileWarning]] = {"errors": [], "warnings": []}
    told: list[str] = []
    for name in files or (str(default_file(Path())),):
        try:
            file, warnings = _checked(name, strict=strict)
        except FileErrors as faults:
            found["errors"] += faults.errors
            continue
        found["warnings"] += warnings
        more = f"; warnings: {len(warnings)}" if warnings else ""
        told.append(f"{name}: valid; services: {len(file.services)}, tasks: {len(file.tasks)}{more}")
    for one in (*found["errors"], *found["warnings"]):
        note(str(one))
    errors = len(found["errors"])
    data = {kind: [dataclasses.asdict(one) for one in those] for kind, those in found.items()}
    emit(output, {"valid": not errors, **data}, "\n".join(told))
    if errors:
        raise Quit(INVALID, f"{errors} error{'' if errors == 1 else 's'} found.")


@click.command()
@click.argument("file", required=False, shell_complete=complete_file)
@click.option("-s", "--set-default", is_flag=True, help="Also make FILE the one the agent applies by itself.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option(
    "--prune",
    is_flag=True,
    help="Also delete what an earlier update of this very FILE created and it does not name any more.",
)
@with_output
@with_agent
def update(
    agent: Agent, file: str | None, set_default: bool, dry_run: bool, prune: bool, output: str
) -> None:
    """Apply an automations file.

    What the file names is created or updated; what it does not name stays, and is told. A service that runs
    keeps the definition it was started with until it is restarted; that is told too. FILE may be - for
    standard input; without it the file that the agent applies by itself is applied.

    \b
    Example:
      runner-agent automations update automations.yaml
      runner-agent automations update --dry-run automations.yaml
      runner-agent automations update --prune automations.yaml
      generate | runner-agent automations update -
    """
    if set_default and dry_run:
        raise click.UsageError("Give -s or --dry-run, not both.")
    if set_default and file == STANDARD_INPUT:
        raise click.UsageError("Standard input cannot be made the default: -s wants a file.")
    if prune and file == STANDARD_INPUT:
        raise click.UsageError("Standard input cannot prune: what created an entry is known by its path.")
    outlive_reader()
    name = file or str(applied_file(agent))
    if dry_run:
        would, applied = _would(agent, name, prune=prune)
        told = [str(change) for change in would] + [
            f"would delete {kind} {reference}" for _, kind, reference in applied.of("deleted")
        ]
        emit(output, [*map(dataclasses.asdict, would), *applied.as_data("deleted")], "\n".join(told))
    else:
        applied = apply(agent, name, prune=prune)
        if set_default:
            agent.set_automations_file(str(Path(name).absolute()))
            note(f"{name} is now the file the agent applies by itself.")
        if not applied.changes:
            note(f"{name}: nothing to change.")
        emit(output, applied.as_data(), "\n".join(" ".join(line) for line in applied.changes))
    for remark in applied.remarks():
        note(remark)


def apply(agent: Agent, name: str, *, prune: bool = False) -> Applied:
    """Upserts the file. Raises Quit with every fault of it."""
    message = _message(agent, name)
    return Applied.of_answer(agent.apply_automations_file(message, _path(name), prune=prune), message)


def applied_file(agent: Agent) -> Path:
    """The file that the agent applies by itself. Raises Quit where there is none, or none any more: another
    one would be applied in its place, and nothing said.
    """
    info = agent.get_agent()
    own = info.get("automations", {}).get("path", "")
    if not own:
        return default_file(Path(info.get("workspace", ".")))
    try:
        Path(own).lstat()
    except (FileNotFoundError, NotADirectoryError):
        raise Quit(
            INVALID,
            f"{own}, which the agent applies by itself, is gone: put it back, or name a FILE, with -s if the"
            " agent is to apply that one from now on.",
        ) from None
    except OSError:
        pass  # who reads it tells
    return Path(own)


def _path(name: str) -> str:
    return "" if name == STANDARD_INPUT else identity(Path(name))


def _would(agent: Agent, name: str, *, prune: bool) -> tuple[list[Change], Applied]:
    """What applying the file would do, unchanged entries included. Raises Quit with every fault of it."""
    message, services, tasks = _message(agent, name), list(agent.services()), list(agent.tasks())
    others = {
        "services": {reference_of(each) for each in tasks} & message.get("services", {}).keys(),
        "tasks": {reference_of(each) for each in services} & message.get("tasks", {}).keys(),
    }
    for part, references in others.items():  # rule 2.7, as the agent would say it
        for reference in sorted(references):
            note(f"{name}: {part}.{reference}: in this environment the reference is of the other kind")
    if any(others.values()):
        raise Quit(
            INVALID, "The file cannot be applied: choose other references, or delete those entries first."
        )
    answer = agent.apply_automations_file(message, _path(name), prune=prune, dry_run=True)
    return changes(message, services, tasks), Applied.of_answer(answer, message)


def _message(agent: Agent, name: str) -> FileMessage:
    known = {reference_of(each) for each in agent.services()}
    known |= {reference_of(each) for each in agent.tasks()}
    try:
        return as_message(_read(name, known))
    except FileErrors as faults:
        raise _faults(faults) from None


def check(name: str) -> AutomationsFile:
    """The file. Raises Quit with every fault of it."""
    try:
        return _read(name)
    except FileErrors as faults:
        raise _faults(faults) from None


def default_file(workspace: Path) -> Path:
    """The file that need not be named. Raises Quit where there is none."""
    found = find_default(workspace)
    if found is None:
        other = find_misplaced(workspace)
        there = (
            f" {other} is none of the places that are looked in: name it, or move it there." if other else ""
        )
        raise Quit(
            INVALID,
            f"There is no automations file in {workspace.absolute()}: name one, or write {STARTER_FILE}, for"
            f" example with: runner-agent automations init.{there}",
        )
    if warning := passed_over(workspace):
        note(f"Warning: {warning}.")
    return found


def _read(name: str, known: Collection[str] = ()) -> AutomationsFile:
    if name == STANDARD_INPUT:
        return read_automations("<stdin>", sys.stdin.buffer.read(), known=known)
    return read_file(Path(name), known=known)


def _checked(name: str, *, strict: bool) -> tuple[AutomationsFile, tuple[FileWarning, ...]]:
    if name == STANDARD_INPUT:
        return check_automations("<stdin>", sys.stdin.buffer.read(), strict=strict)
    return check_file(Path(name), strict=strict)


def _faults(faults: FileErrors) -> Quit:
    for fault in faults.errors:
        note(str(fault))
    count = len(faults.errors)
    return Quit(INVALID, f"{count} error{'' if count == 1 else 's'} found; nothing was changed.")
