"""`serve`: the daemon, in the foreground and silent but for its own log."""

import os
import signal
from pathlib import Path

import click

from runner_agent.cli.exits import DONE, FAILED, Quit, all_wrong
from runner_agent.cli.options import FILE, FOLDER
from runner_agent.cli.trigger_names import EVENTS

_PR_SET_PDEATHSIG = 1


# long: its options and its help are most of it
@click.command()
@click.option("--state-dir", metavar="DIR", type=FOLDER, help="Where state and logs are kept.")
@click.option("--workspace", metavar="DIR", type=FOLDER, help="Where commands run.")
@click.option(
    "--listen",
    metavar="ADDRESS",
    multiple=True,
    help="unix:PATH or tcp:HOST:PORT; of PORT-PORT the first that is free. May be repeated.",
)
@click.option("--automations", metavar="FILE", type=FILE, help="The file to apply at start.")
@click.option("--config", metavar="FILE", type=FILE, help="Settings in YAML.")
@click.option(
    "--fire",
    metavar="EVENT",
    multiple=True,
    type=click.Choice(EVENTS),
    help="Fire this when ready. May be repeated.",
)
@click.option("--check", is_flag=True, hidden=True, help="Only say whether it could start, for a reload.")
@click.option("--stop-with", type=int, hidden=True, help="Stop in order when this parent process ends.")
def serve(
    state_dir: Path | None,
    workspace: Path | None,
    listen: tuple[str, ...],
    automations: Path | None,
    config: Path | None,
    fire: tuple[str, ...],
    check: bool,
    stop_with: int | None,
) -> int:
    """Run the agent.

    SIGTERM and Ctrl-C bring services and tasks down in order; a second Ctrl-C kills them at once. To see what
    runs while you work, use `runner-agent up` instead.

    \b
    Example:
      runner-agent serve --workspace ~/project
      runner-agent serve --state-dir /tmp/agent --listen tcp:127.0.0.1:7780
    """
    if stop_with is not None and not check:  # who asks for the check is not the parent
        _stop_with(stop_with)
    from runner_agent.daemon.lean import serve as run
    from runner_agent.daemon.settings import ServeOptions
    from runner_agent.model.errors import InvalidArgument, RunnerError

    options = ServeOptions(
        state_dir=state_dir or click.get_current_context().find_root().params.get("state_dir"),
        workspace=workspace,
        listen=listen,
        automations=automations,
        config=config,
        fire=fire,
    )
    try:
        if check:
            from runner_agent.daemon.reload import check as look

            look(options)
            return DONE
        return run(options)
    except InvalidArgument as error:
        raise all_wrong(error) from None
    except RunnerError as error:
        raise Quit(FAILED, str(error)) from None


def _stop_with(parent: int) -> None:
    """SIGTERM when the parent ends, however it ends; at once if it has ended before we could ask."""
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise Quit(FAILED, "The `up` that this agent belongs to has ended already.")
