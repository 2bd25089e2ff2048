"""`completion SHELL`: the script that makes a shell complete our commands."""

import click
from click.shell_completion import ShellComplete, get_completion_class

from runner_agent.cli.terminal import out


@click.command(short_help="Print a script for your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that makes your shell complete commands, options, services and tasks.

    The names of services and tasks come from the agent that runs at that moment.

    \b
    Example:
      source <(runner-agent completion bash)       in ~/.bashrc
      source <(runner-agent completion zsh)        in ~/.zshrc, after compinit
      runner-agent completion fish > ~/.config/fish/completions/runner-agent.fish
    """
    from runner_agent.cli.root import root

    kind = get_completion_class(shell)
    assert kind is not None
    # Not kind.source: of bash that one asks the version of whatever bash is first on PATH.
    out(ShellComplete.source(kind(root, {}, "runner-agent", "_RUNNER_AGENT_COMPLETE")).rstrip("\n"))
