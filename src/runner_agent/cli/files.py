"""`automations update` and `automations validate`: automations files, applied and checked."""

import dataclasses
import sys
from collections.abc import Collection
from pathlib import Path

import click

from runner_agent.cli.exits import INVALID, Quit
from runner_agent.cli.file_messages import as_message, changes
from runner_agent.cli.options import with_agent, with_output
from runner_agent.cli.tables import emit
from runner_agent.cli.terminal import note
from runner_agent.cli.words import reference_of
from runner_agent.client.agent import Agent
from runner_agent.control.automations import DEFAULTS, find_default, read_automations, read_file
from runner_agent.control.file_errors import FileErrors
from runner_agent.model.specs import AutomationsFile

STANDARD_INPUT = "-"


@click.command()
@click.argument("file", required=False)
@click.option("--strict", is_flag=True, help="Accept only the triggers of the published schema.")
@with_output
def validate(file: str | None, strict: bool, output: str) -> None:
    """Check an automations file.

    Tells every error at once, with line and column. Needs no agent. FILE may be - for standard input;
    without it the default file of this directory is checked.

    \b
    Example:
      runner-agent automations validate .ona/automations.yaml
      runner-agent automations validate --json automations.yaml
    """
    name = file or str(default_file(Path()))
    try:
        found = _read(name, strict=strict)
    except FileErrors as faults:
        if output != "table":
            errors = [dataclasses.asdict(fault) for fault in faults.errors]
            emit(output, {"valid": False, "errors": errors}, "")
        raise _faults(faults) from None
    table = f"{name}: valid; services: {len(found.services)}, tasks: {len(found.tasks)}"
    emit(output, {"valid": True, "errors": []}, table)


@click.command()
@click.argument("file", required=False)
@click.option("-s", "--set-default", is_flag=True, help="Also make FILE the one the agent applies by itself.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@with_output
@with_agent
def update(agent: Agent, file: str | None, set_default: bool, dry_run: bool, output: str) -> None:
    """Apply an automations file.

    What the file names is created or updated; what it does not name stays. FILE may be - for standard input;
    without it the default file of the agent's workspace is applied.

    \b
    Example:
      runner-agent automations update automations.yaml
      runner-agent automations update --dry-run automations.yaml
      generate | runner-agent automations update -
    """
    if set_default and file == STANDARD_INPUT:
        raise click.UsageError("Standard input cannot be made the default: -s wants a file.")
    name = file or str(default_file(Path(agent.get_agent().get("workspace", "."))))
    done = apply(agent, name, dry_run=dry_run)
    if set_default and not dry_run:
        agent.set_automations_file(str(Path(name).absolute()))
        note(f"{name} is now the file the agent applies by itself.")
    if not done:
        note(f"{name}: nothing to change.")
    data = [{"change": change, "kind": kind, "reference": reference} for change, kind, reference in done]
    emit(output, data, "\n".join(" ".join(line) for line in done))


def apply(agent: Agent, name: str, *, dry_run: bool = False) -> list[tuple[str, str, str]]:
    """Upserts the file; what was created or updated. Raises Quit with every fault of the file."""
    services, tasks = list(agent.services()), list(agent.tasks())
    kinds = {each["id"]: ("service", reference_of(each)) for each in services}
    kinds |= {each["id"]: ("task", reference_of(each)) for each in tasks}
    known = {reference for _, reference in kinds.values()}
    try:
        message = as_message(_read(name, known))
    except FileErrors as faults:
        raise _faults(faults) from None
    if dry_run:
        verbs = {"create": "would create", "update": "would update"}
        return [
            (verbs[change], kind, reference) for change, kind, reference in changes(message, services, tasks)
        ]
    result = agent.upsert(message)
    changed = {*result.get("updatedServiceIds", []), *result.get("updatedTaskIds", [])}
    after = [("service", each) for each in agent.services()] + [("task", each) for each in agent.tasks()]
    return [
        ("updated" if each["id"] in kinds else "created", kind, reference_of(each))
        for kind, each in after
        if each["id"] in changed
    ]


def check(name: str) -> None:
    """Raises Quit with every fault of the file."""
    try:
        _read(name)
    except FileErrors as faults:
        raise _faults(faults) from None


def default_file(workspace: Path) -> Path:
    """The file that need not be named. Raises Quit where there is none."""
    found = find_default(workspace)
    if found is None:
        raise Quit(
            INVALID,
            f"There is no automations file in {workspace.absolute()}: name one, or write {DEFAULTS[0]}.",
        )
    return found


def _read(name: str, known: Collection[str] = (), *, strict: bool = False) -> AutomationsFile:
    if name == STANDARD_INPUT:
        return read_automations("<stdin>", sys.stdin.buffer.read(), known=known, strict=strict)
    return read_file(Path(name), known=known, strict=strict)


def _faults(faults: FileErrors) -> Quit:
    for fault in faults.errors:
        note(str(fault))
    count = len(faults.errors)
    return Quit(INVALID, f"{count} error{'' if count == 1 else 's'} found; nothing was changed.")
