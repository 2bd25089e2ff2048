"""Upstream's commands inside runs: found unless there are others, and answered by the agent itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.stage import automations, execution_path, phase_of, service_yaml, task_yaml

if TYPE_CHECKING:
    from tests.e2e.stage import Stage

SCRIPT = """set -e
url=$(gitpod environment port open 3000 --name web)
test "$url" = http://localhost:3000
ona automations service start inner --wait=60
gitpod automations task start other > id
gitpod automations service list -o json > services.json
code=0; gitpod environment stop 2> refusal || code=$?
test $code = 2
gitpod automations update late.yaml
"""


def test_commands_find_gitpod_and_ona(stage: Stage) -> None:
    """Interface, and rule 5.2. A `click.py` in the workspace must not get in their way."""
    (stage.workspace / "late.yaml").write_text(automations(tasks=(task_yaml("late", "true"),)))
    stage.start(
        file=automations(
            services=(service_yaml("inner", "exec sleep 60"),),
            tasks=(task_yaml("outer", SCRIPT), task_yaml("other", "touch ran")),
        )
    )
    (stage.workspace / "click.py").write_text("raise SystemExit('the wrong one')\n")
    execution = stage.run("outer", 40)
    (stage.workspace / "click.py").unlink()
    assert phase_of(execution) == "SUCCEEDED", stage.log(execution_path(execution))
    assert (stage.workspace / "ran").exists()
    assert '"SERVICE_PHASE_RUNNING"' in (stage.workspace / "services.json").read_text()
    assert "cannot be done by this agent" in (stage.workspace / "refusal").read_text()
    assert "late" in stage.ok("task", "list")


def test_those_of_the_machine_come_first(stage: Stage) -> None:
    tools = stage.workspace / "tools"
    tools.mkdir()
    (tools / "gitpod").write_text("#!/bin/sh\necho the real one\n")
    (tools / "gitpod").chmod(0o755)
    stage.daemon.environment["PATH"] = f"{tools}:/usr/local/bin:/usr/bin:/bin"
    stage.start(file=automations(tasks=(task_yaml("which", "gitpod environment port open 1 > said"),)))
    assert phase_of(stage.run("which")) == "SUCCEEDED"
    assert (stage.workspace / "said").read_text() == "the real one\n"
