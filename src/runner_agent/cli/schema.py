"""`automations schema`: the form of automations files, for editors."""

import json

import click

from runner_agent.cli.terminal import out
from runner_agent.control.automations_json_schema import json_schema


@click.command()
def schema() -> None:
    """Print the JSON schema of automations files.

    Editors check and complete a file by it, for example where it begins with the line

    \b
      # yaml-language-server: $schema=automations.schema.json

    \b
    Example:
      runner-agent automations schema > .ona/automations.schema.json
    """
    out(json.dumps(json_schema(), indent=2))
