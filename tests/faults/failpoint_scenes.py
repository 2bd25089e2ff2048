"""What an agent is in the midst of when it fails: short scenes, each told with what must come of it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, TypeVar

from runner_agent.client.errors import AgentUnreachable, ApiError
from tests.e2e.stage import (
    FINISHED,
    Stage,
    automations,
    execution_path,
    phase_of,
    service_path,
    service_yaml,
    step_of,
    task_yaml,
)
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner_agent.client.agent import Agent
    from runner_agent.client.messages import Execution
    from tests.faults.trial import Witness

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds until what was waited for will never be, on a machine that does much else."""
LINES = 10
BEGIN = 'echo "$RUNNER_AGENT_REFERENCE $RUNNER_AGENT_RUN_ID" >> begun\n'
COUNT = (
    BEGIN
    + f"for i in $(seq 0 {LINES - 1}); do echo line $i; done\n"
    + f"sleep 0.03\necho last {LINES}\necho total={LINES} >> $GITPOD_OUTPUT\n"
)
CHATTY = (
    BEGIN
    + """trap 'echo last $i; exit 0' TERM
i=0
while :; do echo line $i; i=$((i+1)); echo n=$i >> $GITPOD_OUTPUT; sleep 0.02; done
"""
)
DEAF = BEGIN + "trap '' TERM\necho line 0\nwhile :; do sleep 0.02; done\n"
LEAVES = COUNT + "(setsid bash -c 'exec sleep 600' &)\n"
LOUD = BEGIN + "echo line 0; echo last 1; seq -f '%08.0f' 1 20000"
"""180,000 bytes, in lines of nine."""


@dataclass(slots=True)
class Play:
    """One scene being played, on an agent that may die at any moment and is started again each time."""

    stage: Stage
    witness: Witness
    forgiving: bool
    """A run may fail for a reason that is told: its holder was killed, or the disk was made full."""
    deaths: int = 0
    executions: dict[str, str] = field(default_factory=dict[str, str])
    lost: list[str] = field(default_factory=list[str])

    def revive(self) -> None:
        """Have an agent that is ready."""
        for _ in range(4):
            if not self.stage.daemon.running:
                self.stage.daemon.spawn()
            try:
                self.stage.daemon.wait_ready(PATIENCE)
            except AssertionError:
                if self.stage.daemon.running:
                    raise
                self._bury()
            else:
                return
        raise AssertionError(f"does not start:\n{self.stage.daemon.stderr}")

    def _bury(self) -> None:
        code = self.stage.daemon.process.wait(60)
        self.deaths += 1
        assert code in (-signal.SIGKILL, 1), f"ended with {code}:\n{self.stage.daemon.stderr}"

    def asked(self, ask: Callable[[Agent], T], again: Callable[[], T | None] = lambda: None) -> T:
        """An answer. Where the agent died before it came, `again` tells whether the wish arrived."""
        for _ in range(5):
            try:
                return ask(self.stage.agent)
            except (AgentUnreachable, HTTPException, OSError):
                wait_until(lambda: not self.stage.daemon.running, 10, "an agent that is away is dead")
                self._bury()
                self.revive()
                if (found := again()) is not None:
                    return found
            except ApiError as error:
                if error.code not in ("resource_exhausted", "unavailable"):
                    raise
        raise AssertionError(f"no answer:\n{self.stage.daemon.stderr}")

    def until(self, condition: Callable[[Agent], bool], what: str) -> None:
        """It has come true; versions are looked at all the while."""

        def true() -> bool:
            self.asked(lambda _: self.witness.look())
            return self.asked(condition)

        wait_until(true, PATIENCE, f"{what}\n{self.stage.daemon.stderr}")

    # ------------------------------------------------------------ wishes

    def run(self, task: str) -> Execution:
        """Start it once; what became of it."""
        self.asked(lambda _: self.stage.id_of(task))
        id_ = self.asked(
            lambda agent: agent.start_task(self.stage.id_of(task))["id"],
            lambda: next((one for one in self._known() if one not in self.executions), None),
        )
        self.executions[id_] = task
        return self.ended(id_)

    def ended(self, execution: str) -> Execution:
        """Once it is over."""
        self.until(lambda agent: phase_of(agent.get_execution(execution)) in FINISHED, f"{execution} ends")
        return self.asked(lambda agent: agent.get_execution(execution))

    def up(self, service: str) -> None:
        """Start it; RUNNING."""
        for _ in range(3):
            self.asked(lambda agent: agent.start_service(self.stage.id_of(service)))
            self.heard(service)
            if self.asked(lambda _: self.stage.phase(service)) == "RUNNING":
                return
            self._forgive(service)
        raise AssertionError(f"{service} does not come up:\n{self.stage.daemon.stderr}")

    def heard(self, service: str) -> None:
        """It is up and has its traps set, which it tells; or it has failed."""

        def told(_: Agent) -> bool:
            if (phase := self.stage.phase(service)) != "RUNNING":
                return phase == "FAILED"
            return "line 0\n" in self.stage.log(service_path(self.stage.service(service)), role="start")

        self.until(told, f"{service} is up")

    def down(self, service: str) -> None:
        """Stop it; STOPPED."""
        self.asked(lambda agent: agent.stop_service(self.stage.id_of(service)))
        self.until(
            lambda agent: phase_of(agent.get_service(self.stage.id_of(service))) in ("STOPPED", "FAILED"),
            f"{service} is down",
        )
        if self.asked(lambda _: self.stage.phase(service)) == "FAILED":
            self._forgive(service)

    def _forgive(self, service: str) -> None:
        status = self.asked(lambda _: self.stage.service(service)).get("status", {})
        message = status.get("failureMessage", "")
        assert self.forgiving, f"{service} is FAILED: {message}"
        assert message, f"{service} is FAILED, and nobody says why"
        self.lost.append(service)

    def _known(self) -> list[str]:
        return [one["id"] for one in self.asked(lambda agent: list(agent.executions()))]

    # ------------------------------------------------------------ what must hold

    def counted(self, execution: Execution, label: str, expected: str, message: str = "") -> None:
        """Exit code, output and every byte of the log of a task that counts (rule 7.2)."""
        status = execution.get("status", {})
        told = status.get("failureMessage", "")
        if self.forgiving and phase_of(execution) == "FAILED" and told and not (message and message in told):
            self.lost.append(label)
            return
        assert phase_of(execution) == expected, f"{phase_of(execution)} instead of {expected}: {told}"
        assert message in told, told
        assert step_of(execution, label)["output"] == {"total": str(LINES)}
        id_ = str(step_of(execution, label)["id"])
        log = self.asked(lambda _: self.stage.log(execution_path(execution), step=id_))
        lines = [line for line in log.splitlines() if line.startswith(("line ", "last "))]
        assert lines == [*(f"line {number}" for number in range(LINES)), f"last {LINES}"], log

    def gapless(self, service: str, last: str = "last ") -> None:
        """Every line of each session, in order, to the last one."""
        log = self.asked(lambda _: self.stage.log(service_path(self.stage.service(service)), role="start"))
        sessions: list[list[str]] = []
        for line in log.splitlines():
            if line == "line 0":
                sessions.append([])
            if line.startswith(("line ", "last ")):
                assert sessions, f"the log of {service} does not begin at the beginning: {log}"
                sessions[-1].append(line)
        for lines in sessions:
            numbers = [int(line.split()[1]) for line in lines]
            if lines[-1].startswith("last") and len(numbers) > 1 and numbers[-1] == numbers[-2]:
                numbers.pop()  # the signal came between the line and the counting of it
            assert numbers == list(range(len(numbers))), log
        if not self.forgiving:  # who kills a holder may kill what its pipe holds (docs/weaknesses.md)
            assert sessions, log
            assert sessions[-1][-1].startswith(last), log

    def begun(self) -> Counter[str]:
        """How often each run began, over all scripts."""
        path = self.stage.workspace / "begun"
        return Counter(path.read_text().splitlines() if path.exists() else [])

    def once_each(self, *tasks: str) -> None:
        """No run began twice, and each of these tasks once (rule 7.2)."""
        begun = self.begun()
        assert [run for run, times in begun.items() if times > 1] == [], begun
        starts = Counter(run.split()[0] for run in begun.elements())
        for task in tasks:
            assert starts[task] == 1 or (task in self.lost and starts[task] == 0), starts


@dataclass(frozen=True, slots=True)
class Scene:
    """`file` is what the agent starts with."""

    name: str
    play: Callable[[Play], None]
    file: str = automations()
    settings: tuple[tuple[str, str], ...] = ()
    before: str = ""
    """What goes wrong first, in any case: the scene is what comes of it."""


def _boot(play: Play) -> None:
    play.asked(lambda agent: agent.get_agent())


def _task(play: Play) -> None:
    play.counted(play.run("count"), "count", "FAILED", "code 7")
    play.once_each("count")


def _service(play: Play) -> None:
    play.up("web")
    play.until(lambda _: bool(_output(play, "web")), "an output is told")
    play.down("web")
    play.gapless("web")
    play.once_each()


def _stop_command(play: Play) -> None:
    play.up("web")
    play.down("web")
    log = play.asked(lambda _: play.stage.log(service_path(play.stage.service("web")), role="stop"))
    if "web" not in play.lost:
        assert log.splitlines().count("stopping") == 1, log
    play.gapless("web", last="line ")
    play.once_each()


def _deaf(play: Play) -> None:
    play.up("web")
    play.down("web")
    play.gapless("web", last="line ")
    play.once_each()


def _leftovers(play: Play) -> None:
    play.counted(play.run("leaves"), "leaves", "SUCCEEDED")
    play.once_each("leaves")


def _firing(play: Play) -> None:
    def fire(agent: Agent) -> None:
        agent.fire("postDevcontainerStart", "once")

    play.asked(fire)
    play.asked(fire)
    play.heard("web")
    ids = play.asked(lambda agent: [one["id"] for one in agent.executions()])
    assert len(ids) == 1, ids
    execution = play.ended(ids[0])
    if phase_of(execution) == "SUCCEEDED":
        for label in ("count", "after"):
            play.counted(execution, label, "SUCCEEDED")
    else:
        play.counted(execution, "count", "SUCCEEDED")
        play.lost += ["count", "after"]
    play.down("web")
    play.once_each("count", "after")
    assert [one.get("event") for one in play.asked(lambda agent: list(agent.firings()))].count(
        "postDevcontainerStart"
    ) == 1


def _prebuild(play: Play) -> None:
    def begin(agent: Agent) -> str:
        try:
            return agent.start_prebuild(300.0).get("id", "")
        except ApiError as error:
            if error.code != "failed_precondition":  # it is under way
                raise
            return agent.get_prebuild().get("id", "")

    id_ = play.asked(begin)
    play.until(lambda agent: agent.get_prebuild(id_).get("stage") == "ended", "it ends")
    report = play.asked(lambda agent: agent.get_prebuild(id_))
    items = {item.get("reference", ""): item.get("phase", "") for item in report.get("items", [])}
    if not play.forgiving:
        assert set(items) == {"count", "web"}, report
        assert items["count"].endswith("SUCCEEDED"), report
    play.lost.append("count" if not items.get("count", "").endswith("SUCCEEDED") else "")
    play.once_each("count")
    assert not (play.stage.state / "token").exists()


def _cap(play: Play) -> None:
    execution = play.run("loud")
    log = play.asked(lambda _: play.stage.log(execution_path(execution)))
    numbers = [int(line) for line in log.splitlines() if line.isdecimal() and len(line) == 8]
    if phase_of(execution) != "SUCCEEDED":
        play.counted(execution, "loud", "SUCCEEDED")
    else:
        assert numbers == list(range(numbers[0], 20001)), "all that is kept, to the last byte"
    play.once_each("loud")


def _upgrade(play: Play) -> None:
    play.up("web")
    told = play.stage.state / "agent.json"
    before = told.stat().st_mtime_ns
    if play.stage.daemon.running:
        os.kill(play.stage.daemon.process.pid, signal.SIGHUP)
    wait_until(
        lambda: told.stat().st_mtime_ns != before or not play.stage.daemon.running,
        PATIENCE,
        "the agent executes itself anew",
    )
    play.heard("web")
    play.down("web")
    play.gapless("web")
    play.once_each()


def _output(play: Play, service: str) -> object:
    return play.stage.service(service).get("status", {}).get("output") or (
        play.stage.phase(service) == "FAILED"
    )


_COUNT = automations(tasks=(task_yaml("count", COUNT + "exit 7"),))
_WEB = service_yaml("web", CHATTY)
_FIRED = "triggeredBy: [postDevcontainerStart]"
_BUILT = "triggeredBy: [prebuild]"
SCENES = (
    Scene("boot", _boot),
    Scene("task", _task, _COUNT),
    Scene(
        "service",
        _service,
        automations(services=(service_yaml("web", CHATTY, ready="test -e open || { touch open; exit 1; }"),)),
    ),
    Scene(
        "stop command",
        _stop_command,
        automations(services=(service_yaml("web", CHATTY, stop="echo stopping; sleep 0.05"),)),
    ),
    Scene(
        "deaf",
        _deaf,
        automations(services=(service_yaml("web", DEAF),)),
        (("RUNNER_AGENT_SERVICE_STOP_GRACE", "0.3"),),
    ),
    Scene("leftovers", _leftovers, automations(tasks=(task_yaml("leaves", LEAVES),))),
    Scene(
        "firing",
        _firing,
        automations(
            services=(service_yaml("web", CHATTY, more=_FIRED),),
            tasks=(
                task_yaml("count", COUNT),
                task_yaml("after", COUNT, more=f"dependsOn: [count]\n{_FIRED}"),
            ),
        ),
    ),
    Scene(
        "prebuild",
        _prebuild,
        automations(
            services=(service_yaml("web", CHATTY, more=_BUILT),),
            tasks=(task_yaml("count", COUNT, more=f"prebuildRequiresSuccess: true\n{_BUILT}"),),
        ),
    ),
    Scene(
        "log cap",
        _cap,
        automations(tasks=(task_yaml("loud", LOUD),)),
        (("RUNNER_AGENT_LOG_CAP", "65536"),),
    ),
    Scene("upgrade", _upgrade, automations(services=(_WEB,))),
    Scene("promise taken up", _task, _COUNT, before="start.before=die@1"),
    Scene("run taken up", _task, _COUNT, before="start.after=die@1"),
)
