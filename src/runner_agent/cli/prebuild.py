"""`prebuild`: the whole of it, through the agent that runs or over one of its own (rule 6.5)."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner_agent.cli.durations import Duration, show_limit, show_seconds
from runner_agent.cli.exits import FAILED, INTERRUPTED, Quit, all_wrong
from runner_agent.cli.options import ADDRESS_HELP, FOLDER
from runner_agent.cli.streams import outlive_reader
from runner_agent.cli.terminal import note, out
from runner_agent.client.addresses import find_agent
from runner_agent.client.agent import Agent
from runner_agent.client.errors import AgentUnreachable, ApiError
from runner_agent.client.transport import Transport

if TYPE_CHECKING:
    from runner_agent.cli.agent_process import AgentProcess
    from runner_agent.cli.prebuild_follow import Signals
    from runner_agent.client.agent_messages import Prebuild
    from runner_agent.daemon.settings import Settings

FORMATS = ("junit", "json")
LONGEST = 7200.0
ONLY_PREBUILD = {"RUNNER_AGENT_PREBUILD": "true"}


# long: its options and its help are most of it
@click.command()
@click.argument("file", required=False)
@click.option(
    "--timeout",
    type=Duration(),
    default="60m",
    show_default=True,
    help="Time limit, 5m to 2h. Reaching it is exit code 3.",
)
@click.option(
    "--report",
    "reports",
    metavar="FORMAT=FILE",
    multiple=True,
    help="Write a report: junit=FILE or json=FILE. May be repeated.",
)
@click.option("--state-dir", metavar="DIR", type=FOLDER, help="Where state and logs are kept.")
@click.option(
    "--workspace",
    metavar="DIR",
    type=FOLDER,
    help="Where commands run, where no agent runs yet; as configured, else this directory by default.",
)
@click.option("--address", metavar="ADDRESS", help=ADDRESS_HELP)
@click.option("--cancel", is_flag=True, help="End the prebuild that is under way in the agent that runs.")
def prebuild(
    file: str | None,
    timeout: float,
    reports: tuple[str, ...],
    state_dir: Path | None,
    workspace: Path | None,
    address: str | None,
    cancel: bool,
) -> int:
    """Prepare this environment for being made an image.

    Runs what lists `prebuild`, then what lists `beforeSnapshot`, then stops everything and removes what an
    image must not take along. User-scope secrets are out of reach and nothing else fires meanwhile. Ctrl-C
    ends it in order; a second Ctrl-C kills what is left.

    Exit codes: 0; 1 a task with prebuildRequiresSuccess did not succeed; 3 the time limit was reached.

    \b
    Example:
      runner-agent prebuild
      runner-agent prebuild automations.yaml --timeout 30m --report junit=prebuild.xml
    """
    outlive_reader()
    wanted = [_report(text) for text in reports]
    overall = click.get_current_context().find_root().params
    address, state_dir = address or overall.get("address"), state_dir or overall.get("state_dir")
    find = _Finder(address, state_dir)
    if cancel:
        over = find().cancel_prebuild().get("stage") == "ended"
        note(
            "No prebuild is under way; there is nothing to end."
            if over
            else "The prebuild is being ended; `runner-agent status` shows how it goes on."
        )
        return 0
    settings = _settings(state_dir, workspace)
    if not settings.prebuild_timeout_least <= timeout <= LONGEST:
        least = show_limit(settings.prebuild_timeout_least)
        raise click.UsageError(f"--timeout must be {least} to {show_limit(LONGEST)}.")
    try:
        info = find().get_agent()
    except AgentUnreachable:
        if address:
            raise
        ended = _alone(file, timeout, state_dir, settings)
    else:
        name = file or info.get("automations", {}).get("path", "")
        ended = _through(find, name, timeout)
    _write(wanted, ended)
    return _conclude(ended)


class _Finder:
    """The agent, found anew each time."""

    def __init__(self, address: str | None, state_dir: Path | None) -> None:
        self._address, self._state_dir = address, state_dir

    def __call__(self) -> Agent:
        return Agent(Transport(find_agent(self._address, self._state_dir)))


def _report(text: str) -> tuple[str, Path]:
    kind, _, name = text.partition("=")
    if kind not in FORMATS or not name:
        raise click.UsageError(f"--report takes junit=FILE or json=FILE, not {text!r}.")
    path = Path(name)
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"The report {path} cannot be written: {path.parent} is not a directory.")
    return kind, path


def _settings(state_dir: Path | None, workspace: Path | None) -> Settings:
    """What `serve` will run with."""
    from runner_agent.daemon.settings import ServeOptions, load
    from runner_agent.model.errors import InvalidArgument

    try:
        return load(ServeOptions(state_dir=state_dir, workspace=workspace))
    except InvalidArgument as error:
        raise all_wrong(error) from None


def _through(find: _Finder, name: str, timeout: float) -> Prebuild:
    """Through the agent that runs."""
    from runner_agent.cli.prebuild_follow import Follower, Signals

    agent = find()
    note("Working through the agent that runs already; nothing but this prebuild fires there meanwhile.")
    _apply(agent, name)
    signals = Signals()
    begun = agent.start_prebuild(timeout)
    return Follower(find, begun.get("id", ""), signals).follow(lambda: None)


def _alone(file: str | None, timeout: float, state_dir: Path | None, settings: Settings) -> Prebuild:
    """Over an agent of its own, that ends with it."""
    from runner_agent.cli.agent_process import AgentProcess
    from runner_agent.cli.prebuild_follow import Follower, Signals
    from runner_agent.control.automations import find_default

    found = find_default(settings.workspace)
    name = file or (str(found) if found else "")
    if name and name != "-":
        from runner_agent.cli.files import check

        check(name)
    signals = Signals()
    process = AgentProcess(_arguments(state_dir, settings), settings.state_dir, ONLY_PREBUILD)
    try:
        process.wait_ready()
        agent = Agent(Transport(find_agent(state_dir=settings.state_dir)))
        _apply(agent, name)
        _end_old(agent, signals)
        begun = agent.start_prebuild(timeout)
        return Follower(lambda: agent, begun.get("id", ""), signals).follow(lambda: _why_ended(process))
    finally:
        _stop(process, signals)


def _arguments(state_dir: Path | None, settings: Settings) -> Sequence[str]:
    given = ["--state-dir", str(settings.state_dir)] if state_dir is not None else []
    return ["--workspace", str(settings.workspace), *given]


def _end_old(agent: Agent, signals: Signals) -> None:
    """One that is left over: its command and its agent were killed."""
    try:
        old = agent.get_prebuild()
        if old.get("stage") != "ended":
            note("Ending a prebuild that was left over.")
            agent.cancel_prebuild(old.get("id", ""), now=True)
        while agent.get_prebuild(old.get("id", "")).get("stage") != "ended":
            signals.next(0.05)
    except ApiError as error:
        if error.code != "not_found":
            raise


def _apply(agent: Agent, name: str) -> None:
    from runner_agent.cli.files import apply

    if not name:
        note("No automations file is named or found: what is defined already is run.")
        return
    for change, kind, reference in apply(agent, name):
        note(f"{change} {kind} {reference}")


def _why_ended(process: AgentProcess) -> str | None:
    if not process.ended():
        return None
    return f"The agent of this prebuild has ended before its time. {process.words().strip()}".strip()


def _stop(process: AgentProcess, signals: Signals) -> None:
    """In order; Ctrl-C hastens."""
    if not process.ended():
        process.stop()
    while not process.ended():
        if signals.next(0.02) == signal.SIGINT:
            process.stop()
    if said := process.words().strip():
        note(said)


def _write(wanted: Sequence[tuple[str, Path]], ended: Prebuild) -> None:
    from runner_agent.cli.prebuild_reports import as_json, as_junit

    for kind, path in wanted:
        text = as_junit(ended) if kind == "junit" else as_json(ended)
        try:
            path.write_text(text, encoding="utf-8", errors="replace")
        except OSError as error:
            raise Quit(FAILED, f"The report {path} cannot be written: {error.strerror}.") from None


def _conclude(ended: Prebuild) -> int:
    """The text report; the exit code."""
    from runner_agent.cli.prebuild_reports import as_table, plain, seconds_of, verdict

    if table := as_table(ended):
        out(table)
    code = ended.get("exitCode", 0)
    for item in ended.get("items", []):
        if item.get("phase") == "FAILED" and item.get("logTail"):
            note(f"Last lines of {item.get('kind', '')} {item.get('reference', '')}:")
            for line in item.get("logTail", [])[-10:]:
                note(f"  | {plain(line)}")
    for warning in ended.get("warnings", []):
        note(f"warning: {plain(warning)}")
    for failure in ended.get("failures", []):
        note(f"failed: {plain(failure)}")
    took = seconds_of(ended)
    limit = f" (limit {show_seconds(ended.get('timeLimit', 0))})" if code == 3 else ""
    note(f"Prebuild {verdict(ended)} after {show_seconds(took or 0)}{limit}.")
    return INTERRUPTED if ended.get("ending") == "cancelled" else code
