"""Random SIGKILLs of the agent in the middle of what it does; then every promise of rule 7.2 is checked.

As a program it makes many trials, one JSON line each, and goes on where it was interrupted:

    python -m tests.faults.trial --count 10000 --report bench/results/trials/kills.jsonl
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from runner_agent.client.errors import AgentUnreachable, ClientError
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runner_agent.client.messages import Execution, Service

KILLS = 20
"""By which a trial's agent dies, at least: sometimes one of them comes before it is ready again."""
SIDE_BY_SIDE = 4
"""Agents at once: a trial waits half of its time."""
PATIENCE = 180.0
"""Seconds until what was waited for will never be, on a machine that does much else."""
LINES = 40
BEGIN = 'echo "$RUNNER_AGENT_REFERENCE $RUNNER_AGENT_RUN_ID" >> begun\n'
CHATTY = (
    BEGIN
    + """trap 'echo "last $i"; exit 0' TERM
i=0
while :; do
  echo "line $i"; i=$((i+1))
  echo "n=$i" >> $GITPOD_OUTPUT
  sleep 0.02
done
"""
)
COUNT = (
    BEGIN
    + f"""for i in $(seq 0 {LINES - 1}); do
  echo "line $i"; sleep 0.01
done
echo "last {LINES}"
echo total={LINES} >> $GITPOD_OUTPUT
"""
)
FILE = automations(
    services=(
        service_yaml("chatty", CHATTY),
        service_yaml("probed", CHATTY, ready="sleep 0.05; test -e open || { touch open; exit 1; }"),
        service_yaml("stopper", CHATTY, stop=BEGIN + "echo line 0; sleep 0.2; echo last 1"),
        service_yaml("deaf", CHATTY.replace("""trap 'echo "last $i"; exit 0' TERM""", "trap '' TERM")),
    ),
    tasks=(
        task_yaml("count", COUNT),
        task_yaml("fails", COUNT + "exit 7"),
        task_yaml("after", COUNT, more="dependsOn: [count, probed]"),
        task_yaml("endless", CHATTY),
    ),
)
SERVICES, TASKS = ("chatty", "probed", "stopper", "deaf"), ("count", "fails", "after", "endless")


@dataclass
class Report:
    """What one trial came to: one line of the report. `wrong` is empty if all promises were kept."""

    seed: int
    kills: int = 0
    wishes: int = 0
    executions: int = 0
    runs: int = 0
    versions: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list[str])


class Witness:
    """Looks all the time, across restarts: versions only grow, and each names one view (rule 1.5)."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._newest: dict[str, int] = {}
        self._views: dict[tuple[str, int], str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.wrong: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    @property
    def versions(self) -> int:
        """Seen so far."""
        return len(self._views)

    def look(self) -> None:
        """Once, at everything."""
        agent = self._stage.agent
        for service in agent.services():
            self._see(service)
        for execution in agent.executions():
            self._see(execution)

    def _watch(self) -> None:
        while not self._over.is_set():
            with suppress(ClientError, OSError, ValueError):
                self.look()
            time.sleep(0.01)

    def _see(self, thing: Service | Execution) -> None:
        status = thing.get("status", {})
        version = int(str(status.get("statusVersion", "0")))
        view = json.dumps(status, sort_keys=True)
        earlier = self._newest.get(thing["id"], 0)
        if version < earlier:
            self.wrong.append(f"{thing['id']} went back from {earlier} to {version}")
        self._newest[thing["id"]] = version
        if self._views.setdefault((thing["id"], version), view) != view:
            self.wrong.append(
                f"version {version} means two things: {view} and {self._views[thing['id'], version]}"
            )


class Trial:
    """One seed's course of events."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._random = random.Random(seed)
        self._wished: dict[str, str] = {}
        self._acknowledged: dict[str, str] = {}
        self.wishes = self.kills = 0

    def run(self, kills: int, witness: Witness) -> None:
        """Wish and kill in turn; then come to rest."""
        for _ in range(kills):
            self._wish_for(self._random.uniform(0.0, 0.5))
            self._kill()
            if self._random.random() < 0.2:  # dead again before it is ready
                self._stage.daemon.spawn()
                time.sleep(self._random.uniform(0.0, 0.5))
                self._kill()
            self._stage.daemon.spawn()
            self._stage.daemon.wait_ready(PATIENCE)
        self._rest()
        witness.look()

    def _kill(self) -> None:
        self._stage.daemon.sigkill()
        self.kills += 1

    def _wish_for(self, seconds: float) -> None:
        """Ask for things until the time is up; a request may be under way then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(AgentUnreachable):
                self._one_wish()
            time.sleep(self._random.uniform(0.0, 0.1))

    def _one_wish(self) -> None:
        agent, self.wishes = self._stage.agent, self.wishes + 1
        if self._random.random() < 0.5:
            name = self._random.choice(SERVICES)
            start = self._random.random() < 0.6
            (agent.start_service if start else agent.stop_service)(self._stage.id_of(name))
            self._wished[name] = "RUNNING" if start else "STOPPED"
            return
        task = self._random.choice(TASKS)
        if task == "endless":
            running = [one for one, name in self._acknowledged.items() if name == task]
            if running and self._random.random() < 0.5:
                agent.stop_execution(self._random.choice(running))
                return
            if running:
                return
        execution = agent.start_task(self._stage.id_of(task))
        self._acknowledged[execution["id"]] = task

    def _rest(self) -> None:
        """Say every wish once more, so that the last word is known, and wait until all is so."""
        agent = self._stage.agent
        for name in SERVICES:
            wish = self._wished.setdefault(name, "STOPPED")
            (agent.start_service if wish == "RUNNING" else agent.stop_service)(self._stage.id_of(name))
        for execution in agent.executions():
            if execution.get("metadata", {}).get("taskId") == self._stage.id_of("endless"):
                agent.stop_execution(execution["id"])
        for execution in list(agent.executions()):
            self._stage.await_execution(execution["id"], PATIENCE)
        for name in SERVICES:
            self._stage.await_phase(name, self._wished[name], timeout=PATIENCE)

    # ------------------------------------------------------------ afterwards

    def faults(self) -> list[str]:
        """Everything that is not as it was promised."""
        executions = list(self._stage.agent.executions())
        known = {one["id"] for one in executions}
        wrong = [
            f"execution {one} of {task} is lost"
            for one, task in self._acknowledged.items()
            if one not in known
        ]
        begun = (self._stage.workspace / "begun").read_text().split("\n")[:-1]
        wrong += [f"begun {times} times: {run}" for run, times in Counter(begun).items() if times > 1]
        for execution in executions:
            wrong += self._wrong_with(execution)
        for name in SERVICES:
            service = self._stage.service(name)
            if message := service.get("status", {}).get("failureMessage", ""):
                wrong.append(f"service {name}: {message}")
            wrong += self._wrong_lines(name, self._stage.log(service_path(service), role="start"))
        starts = Counter(line.split(" ")[0] for line in begun)
        tasks = Counter(
            step.get("label", "")
            for one in executions
            for group in one.get("spec", {}).get("plan", [])
            for step in group.get("steps", [])
            if step["id"] in {shown["id"] for shown in one.get("status", {}).get("steps", [])}
            and "serviceId" not in step
        )
        wrong += [
            f"task {name} began {starts[name]} times for {tasks[name]} steps"
            for name in ("count", "fails", "after")
            if starts[name] != tasks[name]
        ]
        return wrong

    def _wrong_with(self, execution: Execution) -> list[str]:
        names = {self._stage.id_of(name): name for name in TASKS}
        name = names[execution.get("metadata", {}).get("taskId", "")]
        status = execution.get("status", {})
        phase, message = phase_of(execution), status.get("failureMessage", "")
        what = f"execution {execution['id']} of {name}"
        wrong: list[str] = []
        expected = {"count": "SUCCEEDED", "fails": "FAILED", "endless": "STOPPED"}.get(name)
        if name == "after" and phase == "FAILED" and "probed" not in message:
            wrong.append(f"{what} is FAILED: {message}")
        if expected and phase != expected:
            wrong.append(f"{what} is {phase}: {message}")
        if name == "fails" and "code 7" not in message:
            wrong.append(f"{what}: {message}")
        labels = {
            step["id"]: step.get("label", "")
            for group in execution.get("spec", {}).get("plan", [])
            for step in group.get("steps", [])
        }
        for step in status.get("steps", []):
            label = labels[step["id"]]
            if label not in ("count", "fails", "after"):
                continue
            if step.get("output") != {"total": str(LINES)}:
                wrong.append(f"{what}: step {label} has the output {step.get('output')}")
            log = self._stage.log(execution_path(execution), step=step["id"])
            wrong += self._wrong_lines(f"{what}, step {label}", log, whole=LINES)
        return wrong

    def _wrong_lines(self, what: str, log: str, whole: int = 0) -> list[str]:
        """Every session's lines are 0, 1, 2, ... up to its last, each once."""
        sessions: list[list[str]] = []
        for line in log.splitlines():
            if line == "line 0":
                sessions.append([])
            if line.startswith(("line ", "last ")):
                if not sessions:
                    return [f"{what}: its log does not begin at the beginning: {line}"]
                sessions[-1].append(line)
        wrong: list[str] = []
        for session in sessions:
            numbers = [int(line.split(" ")[1]) for line in session]
            if session[-1].startswith("last") and len(numbers) > 1 and numbers[-1] == numbers[-2]:
                numbers.pop()  # the signal came between the line and the counting of it
            if numbers != list(range(len(numbers))) or any(line.startswith("last") for line in session[:-1]):
                wrong.append(f"{what}: lines lost or doubled: {numbers}")
        if whole and [len(session) for session in sessions] != [whole + 1]:
            wrong.append(f"{what}: {[len(session) for session in sessions]} lines instead of {whole + 1}")
        return wrong


def make_trial(seed: int, kills: int, keep: Callable[[Stage], None] | None = None) -> Report:
    """One agent, `kills` violent deaths, and a verdict. `keep` sees the stage of a trial that went wrong."""
    report, began = Report(seed), time.monotonic()
    with staged(RUNNER_AGENT_SERVICE_STOP_GRACE="1", RUNNER_AGENT_TASK_STOP_GRACE="1") as stage:
        stage.write_file(FILE)
        stage.daemon.spawn()
        stage.daemon.wait_ready(PATIENCE)
        trial = Trial(stage, seed)
        with Witness(stage) as witness:
            try:
                trial.run(kills, witness)
                report.wrong += trial.faults()
            except (AssertionError, ClientError) as error:
                report.wrong.append(f"does not come to rest: {error}")
        report.wrong += witness.wrong
        report.versions, report.wishes, report.kills = witness.versions, trial.wishes, trial.kills
        with suppress(AgentUnreachable):
            report.executions = len(list(stage.agent.executions()))
        begun = stage.workspace / "begun"
        report.runs = len(begun.read_text().splitlines()) if begun.exists() else 0
        if not stage.daemon.running or stage.daemon.terminate(PATIENCE) != 0:
            report.wrong.append("the stop did not end with 0")
        report.wrong += [f"leaked: {one}" for one in stage.daemon.survivors()]
        report.wrong += [
            f"left in {path.parent.name}: {path.name}"
            for folder in ("runs", "outputs")
            for path in stage.state.glob(f"{folder}/*")
        ]
        if report.wrong and keep is not None:
            keep(stage)
    report.seconds = round(time.monotonic() - began, 2)
    return report


def make_trials(
    seeds: Iterable[int], keep: Callable[[Stage], None] | None = None, side_by_side: int = SIDE_BY_SIDE
) -> Iterator[Report]:
    """Some agents at a time, their verdicts as they come, in the order of the seeds."""

    def make(seed: int) -> Report:
        return make_trial(seed, KILLS, keep)

    with ThreadPoolExecutor(side_by_side) as pool:
        yield from pool.map(make, seeds)


def reached(report: Path) -> tuple[int, int]:
    """Kills so far, and the next seed."""
    lines = report.read_text().splitlines() if report.exists() else []
    made = [json.loads(line) for line in lines]
    return sum(one["kills"] for one in made), max((one["seed"] for one in made), default=0) + 1


def keep_beside(report: Path) -> Callable[[Stage], None]:
    """What is left of a trial that went wrong goes into a folder named for the report."""

    def keep(stage: Stage) -> None:
        kept = report.with_suffix("") / stage.daemon.base.name
        shutil.copytree(stage.state, kept, ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
        shutil.copy(stage.daemon.base / "stderr", kept)

    return keep


def main() -> int:
    """Trials from the first seed that the report does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="kills in all, those in the report included")
    parser.add_argument("--agents", type=int, default=SIDE_BY_SIDE, help="at a time")
    parser.add_argument("--report", type=Path, required=True, help="gets a JSON line for each trial")
    options = parser.parse_args()
    bad = 0
    while (at := reached(options.report))[0] < options.count:
        trials = min(-(-(options.count - at[0]) // KILLS), 2 * options.agents)
        seeds = range(at[1], at[1] + trials)
        for report in make_trials(seeds, keep_beside(options.report), options.agents):
            with options.report.open("a") as file:
                file.write(json.dumps(asdict(report)) + "\n")
            bad += bool(report.wrong)
            print(
                f"seed {report.seed}: {report.kills} kills, {report.runs} runs,", report.wrong or "all kept"
            )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
