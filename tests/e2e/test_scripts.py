"""Scripts and what they find of themselves: patterns of pkill, and lengths (rule 5.1)."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import (
    Stage,
    automations,
    execution_path,
    phase_of,
    service_path,
    service_yaml,
    task_yaml,
)
from tests.support.machines import ROOT_OR_CI

SERVER = "exec python3 -c 'import time; time.sleep(300)' "
STOP = '# stop the server\npkill -f "node.*{0}" || true\necho "stopped {0}"\n'
LOOP = "cd /\nps ax -o pid=,args= | grep '[p]robed-server' | while read -r p _; do kill $p; done"
USERS = [
    dict[str, str](),
    pytest.param({"RUNNER_AGENT_RUN_AS": "nobody"}, marks=pytest.mark.skipif(not ROOT_OR_CI, reason="root")),
]


def test_a_stop_of_several_lines_does_not_stop_itself(shared: Stage) -> None:
    """The case as it was found: services, each of whose stop looks for its server by pattern."""
    shared.apply(
        automations(
            services=(
                service_yaml("catalog", SERVER + "node-catalog", stop=STOP.format("catalog")),
                service_yaml("preview", SERVER + "vite-preview", stop="pkill -f vite-preview"),
                service_yaml(
                    "probed",
                    SERVER + "probed-server",
                    ready="pgrep -f no-such-probed >/dev/null && exit 9\npgrep -f probed-server > /dev/null",
                    stop=LOOP,
                ),
            )
        )
    )
    for reference in ("catalog", "preview", "probed"):
        shared.ok("service", "start", reference, "--wait=60")
        shared.ok("service", "stop", reference, "--wait=60")
        service = shared.await_phase(reference, "STOPPED", "FAILED")
        assert phase_of(service) == "STOPPED", service
    assert "stopped catalog" in shared.log(service_path(shared.service("catalog")), role="stop")


@pytest.mark.parametrize("settings", USERS)
@pytest.mark.parametrize("shell", ["", "sh", "dash"])
def test_patterns_and_a_script_of_nearly_a_mebibyte(settings: dict[str, str], shell: str) -> None:
    """As long as its file may be, whoever runs it and by whatever shell."""
    with staged(**settings, **({"RUNNER_AGENT_SHELL": shell} if shell else {})) as stage:
        stage.workspace.chmod(0o777)
        lines = "".join(f"{'x' * 4000}\n" for _ in range(240))
        stage.start(
            file=automations(
                tasks=(
                    task_yaml("long", f"wc -c <<'EOF'\n{lines}EOF\ncat\necho $0 done"),
                    task_yaml("hits", "pkill -f 'no-such-[p]rogram|echo surv' && exit 3\necho survived"),
                    task_yaml("alone", "pkill -f only-one-command"),
                )
            )
        )
        long = stage.run("long")
        assert phase_of(long) == "SUCCEEDED", stage.log(execution_path(long))[-500:]
        assert f"{len(lines)}\n" in stage.log(execution_path(long))
        assert f"/{shell or 'bash'} done\n" in stage.log(execution_path(long)), "$0 is the shell, as ever"
        hits = stage.run("hits")
        assert phase_of(hits) == "SUCCEEDED", stage.log(execution_path(hits))
        alone = stage.run("alone")
        assert "exited with code 1" in stage.log(execution_path(alone)), "pkill found nobody"
