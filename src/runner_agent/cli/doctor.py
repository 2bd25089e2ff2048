"""`doctor`: looks at all that the agent rests on, and says what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner_agent.cli.doctor_agent import running
from runner_agent.cli.exits import FAILED, Quit, all_wrong
from runner_agent.cli.finding import Finding, Verdict, broken
from runner_agent.cli.options import FOLDER, STATE_HELP, with_output
from runner_agent.cli.tables import emit
from runner_agent.cli.terminal import note, paint

if TYPE_CHECKING:
    from runner_agent.daemon.settings import Settings
    from runner_agent.executors.docker_address import Choice

_COLOURS = {Verdict.OK: "32", Verdict.NOTE: "33", Verdict.BROKEN: "31;1"}


@click.command()
@click.option("--state-dir", metavar="DIR", type=FOLDER, help=STATE_HELP)
@click.option(
    "--workspace",
    metavar="DIR",
    type=FOLDER,
    help="Where commands would run; by default that of the agent that runs, else this directory.",
)
@click.option("--docker-host", envvar="DOCKER_HOST", hidden=True, default="")
@click.option("--docker-context", envvar="DOCKER_CONTEXT", hidden=True, default="")
@with_output
def doctor(
    state_dir: Path | None, workspace: Path | None, docker_host: str, docker_context: str, output: str
) -> None:
    """Check this machine, and say what to do about what is amiss.

    Looks at Python, the kernel, cgroups, systemd, Docker, the shell, limits, the disk, the state directory,
    the agent and the automations file, and leaves no trace. An agent that runs is looked at where it is: its
    state directory, its workspace, its file. The exit code is 0 if the agent can be used, also with some
    things missing, and 1 if something must be mended.

    \b
    Example:
      runner-agent doctor
      runner-agent doctor --json | jq '.findings[] | select(.verdict != "ok")'
    """
    from runner_agent.executors.docker_address import Choice

    settings = _settings(state_dir, workspace)
    findings = list(_findings(settings, Choice(docker_host, docker_context)))
    usable = all(finding.verdict is not Verdict.BROKEN for finding in findings)
    shown = [
        {"check": each.check, "verdict": each.verdict.value, "found": each.found, "advice": each.advice}
        for each in findings
    ]
    emit(output, {"usable": usable, "findings": shown}, as_text(findings))
    if not usable:
        raise Quit(FAILED, "Something here is broken: mend it, then ask again.")
    if output == "table":
        note("The agent can be used here.")


def _settings(state_dir: Path | None, workspace: Path | None) -> Settings:
    """Of the agent that runs, as far as it is not said otherwise; else of one that would be started here."""
    from runner_agent.daemon.settings import ServeOptions, load
    from runner_agent.model.errors import InvalidArgument

    overall = click.get_current_context().find_root().params
    state = state_dir or overall.get("state_dir")
    info = running(overall.get("address"), state)
    file = info.get("automations", {}).get("path", "")
    options = ServeOptions(
        state_dir=state or _path(info.get("stateDir", "")),
        workspace=(workspace or _path(info.get("workspace", "")) or Path()).absolute(),
        automations=_path(file) if workspace is None else None,
    )
    try:
        return load(options)
    except InvalidArgument as error:
        raise all_wrong(error) from None


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _findings(settings: Settings, choice: Choice) -> Iterator[Finding]:
    from runner_agent.cli import doctor_agent, doctor_machine, doctor_systemd
    from runner_agent.cli.docker_engine import dev_container, engine

    looks = [
        *doctor_machine.looks(settings),
        *doctor_systemd.looks(),
        lambda: engine(choice),
        *(
            [lambda: dev_container(choice, named, settings.workspace)]
            if (named := settings.devcontainer)
            else []
        ),
        *doctor_agent.looks(settings),
    ]
    for look in looks:
        try:
            yield look()
        except OSError as error:  # a file that cannot be read says something too
            yield broken(str(error.filename or "machine"), error.strerror or str(error), "see above")


def as_text(findings: Sequence[Finding]) -> str:
    """One line a check, and the advice under it."""
    width = max(len(each.check) for each in findings)
    lines: list[str] = []
    for each in findings:
        word = paint(f"{each.verdict.value:<6}", _COLOURS[each.verdict], sys.stdout)
        lines.append(f"{word}  {each.check:<{width}}  {each.found}")
        if each.advice:
            lines.append(f"{'':<6}  {'':<{width}}  → {each.advice}")
    return "\n".join(lines)
