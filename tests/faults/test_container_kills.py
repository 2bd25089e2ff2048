"""Random SIGKILLs of the agent while commands run in containers and in the dev container (rule 7.2).

Twelve by default. RUNNER_AGENT_TEST_KILLS=100 for the figure of docs/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import random
import time

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import Stage, automations, execution_path, phase_of, task_yaml
from tests.executors.devcontainers import dev_container
from tests.support.engine import Engine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]

KILLS = int(os.environ.get("RUNNER_AGENT_TEST_KILLS", "12"))
LINES = 300
DEV = "killed-beside"
_SCRIPT = """
for i in $(seq {lines}); do echo "{name} line $i"; [ $((i % {every})) = 0 ] && sleep 0.0{every}; done
echo last={name} >> "$GITPOD_OUTPUT"; printf 'no newline'; exit {code}
"""


def _file(image: str) -> tuple[str, dict[str, int]]:
    """Tasks, and the code that each is to end with."""
    docker = f"runsOn: {json.dumps({'docker': {'image': image}})}"
    codes = {f"dev{n}": n for n in range(1, 4)} | {f"box{n}": 10 + n for n in range(1, 4)}
    tasks = (
        task_yaml(
            name,
            _SCRIPT.format(name=name, lines=LINES, every=3 + code % 5, code=code),
            more=docker if name.startswith("box") else "",
        )
        for name, code in codes.items()
    )
    return automations(tasks=tuple(tasks)), codes


def _whole(stage: Stage, execution: str, name: str, code: int) -> None:
    """Nothing of it was lost or doubled."""
    ended = stage.agent.get_execution(execution)
    assert phase_of(ended) == "FAILED"
    assert f"exited with code {code}" in ended.get("status", {}).get("failureMessage", "")
    log = stage.log(execution_path(ended))
    written = [line for line in log.splitlines() if not line.startswith("runner-agent: ")]
    assert written == [*(f"{name} line {number}" for number in range(1, LINES + 1)), "no newline"], log
    outputs = [dict(step.get("output", {})) for step in ended.get("status", {}).get("steps", [])]
    assert outputs == [{"last": name}]


def test_no_death_of_the_agent_costs_a_run_in_a_container(engine: Engine) -> None:
    seed = random.randrange(1 << 30)
    dice = random.Random(seed)
    print(f"seed {seed}")
    file, codes = _file(engine.image("bash:test"))
    with (
        staged(DOCKER_HOST=engine.host, RUNNER_AGENT_DEVCONTAINER=DEV) as stage,
        dev_container(engine, name=DEV),
    ):
        stage.start(file=file)
        under_way: dict[str, tuple[str, int]] = {}
        kills = finished = 0
        while kills < KILLS:
            for name, code in codes.items():
                if len(under_way) < len(codes):
                    under_way[stage.agent.start_task(stage.id_of(name))["id"]] = name, code
            time.sleep(dice.uniform(0.0, 1.5))
            stage.daemon.sigkill()
            kills += 1
            stage.start()
            for execution in [one for one in under_way if _over(stage, one)]:
                _whole(stage, execution, *under_way.pop(execution))
                finished += 1
        for execution, (name, code) in under_way.items():
            stage.await_execution(execution, timeout=300.0)
            _whole(stage, execution, name, code)
            finished += 1
        print(f"{kills} kills, {finished} runs whole")
        assert finished >= len(codes)


def _over(stage: Stage, execution: str) -> bool:
    return phase_of(stage.agent.get_execution(execution)) in {"SUCCEEDED", "FAILED", "STOPPED"}
