"""`up` beside an agent that runs already: it applies, fires, shows and leaves that agent alone."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from runner_agent.cli.board import Board, Row
from runner_agent.cli.feed import Interrupt
from runner_agent.cli.feed_logs import Log, LogLine, Logs
from runner_agent.cli.panel import panel
from runner_agent.cli.session import Own
from runner_agent.cli.showing import Session
from runner_agent.cli.view import PlainView
from runner_agent.client.addresses import Endpoint, parse_address
from runner_agent.client.logs import execution_log
from runner_agent.client.transport import Transport
from tests.client.fake_agent import LogPart, Message, execution, service, task, uuid

if TYPE_CHECKING:
    from pathlib import Path

    from runner_agent.cli.agent_process import AgentProcess
    from runner_agent.cli.feed import Feed
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent


@pytest.fixture
def state(scratch: Path, fake: FakeAgent) -> Path:
    """The state directory of the fake agent, with a service, and a task that a firing starts."""
    content = {"pid": 1, "addresses": [fake.address], "environmentId": "e", "version": "1"}
    (scratch / "agent.json").write_text(json.dumps(content))
    fake.services = [service(1, "web", "RUNNING")]
    fake.tasks = [task(2, "build")]
    fake.logs[f"/logs/services/{uuid(1)}"] = [LogPart(b"", 9), LogPart(b"served\n", 9)]
    fake.logs[f"/logs/executions/{uuid(3)}"] = [LogPart(b"50 %\r100 %\nmade")]

    def fire(message: Message) -> Message:
        if message["event"] != "postEnvironmentStart":
            return {"firing": {}}
        fake.executions = [execution(3, uuid(2), "RUNNING", steps={"build": "RUNNING"})]
        fake.publish("TASK_EXECUTION", uuid(3))
        return {"firing": {"id": uuid(9), "executions": [{"id": uuid(3), "reference": "build"}]}}

    fake.on["FireTrigger"] = fire
    return scratch


@pytest.mark.parametrize(("phase", "code"), [("SUCCEEDED", 0), ("FAILED", 1)])
def test_until_done(cli: Cli, fake: FakeAgent, state: Path, phase: str, code: int) -> None:
    def end() -> None:
        assert fake.log_asked.acquire(timeout=60)
        fake.executions = [execution(3, uuid(2), phase, steps={"build": phase})]
        fake.publish("TASK_EXECUTION", uuid(3))

    fake.log_awaited = f"/logs/executions/{uuid(3)}"
    ender = threading.Thread(target=end)
    ender.start()
    process = cli.spawn("up", "--state-dir", str(state), "--workspace", str(state), "--until-done")
    out, err = process.communicate(timeout=60)
    ender.join()
    assert process.returncode == code, err
    lines = out.splitlines()
    assert "web   | served" in lines
    assert "build | 100 %" in lines, "of a progress bar the last state is shown"
    assert "build | made" in lines
    assert any(line.startswith(f"agent | task build: {phase}") for line in lines)
    assert ("Not succeeded: build." in err) is (phase == "FAILED")


def shared(fake: FakeAgent, phase: str) -> None:
    """Two events start the task, and its one run is in an execution of each (rule 6.2a)."""
    fake.executions = [execution(key, uuid(2), phase, steps={"build": phase}) for key in (3, 4)]
    for each in fake.executions:
        fake.log_ids[each["status"]["steps"][0]["id"]] = "run"


def test_a_run_that_executions_share_is_shown_once(cli: Cli, fake: FakeAgent, state: Path) -> None:
    def fire(message: Message) -> Message:
        key = {"postDevcontainerStart": 3, "postEnvironmentStart": 4}[message["event"]]
        shared(fake, "FAILED")
        fake.publish("TASK_EXECUTION", uuid(key))
        return {"firing": {"id": uuid(key + 5), "executions": [{"id": uuid(key), "reference": "build"}]}}

    fake.on["FireTrigger"] = fire
    fake.logs["run"] = [LogPart(b"compiling\nmade\n")]
    process = cli.spawn("up", "--state-dir", str(state), "--workspace", str(state), "--until-done")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert [line for line in out.splitlines() if line.startswith("build |")] == [
        "build | compiling",
        "build | made",
    ]
    assert out.count("agent | task build: FAILED") == 1
    assert "Not succeeded: build." in err


def test_of_a_shared_run_that_was_there_before_only_what_is_new_is_shown_and_once(
    cli: Cli, fake: FakeAgent, state: Path
) -> None:
    def fire(_: Message) -> Message:
        fake.executions.append(execution(5, uuid(2), "SUCCEEDED"))
        fake.publish("TASK_EXECUTION", uuid(5))
        return {"firing": {"id": uuid(9), "executions": [{"id": uuid(5), "reference": "build"}]}}

    shared(fake, "RUNNING")
    fake.logs["run"] = [LogPart(b"old\nnew\n", 4)]
    fake.on["FireTrigger"] = fire
    process = cli.spawn(
        *("up", "--state-dir", str(state), "--workspace", str(state)), "--fire", "prebuild", "--until-done"
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert [line for line in out.splitlines() if line.startswith("build |")] == ["build | new"]
    assert out.count("agent | task build: RUNNING") == 1


def test_a_shared_run_is_followed_on_where_one_execution_has_let_go_of_it(fake: FakeAgent) -> None:
    fake.log_ids = {"s3": "run", "s4": "run"}
    fake.logs["run"] = [LogPart(b"one\n"), LogPart(b"one\ntwo\n")]
    shown: list[LogLine] = []
    logs = Logs(Transport(Endpoint(parse_address(fake.address))), shown.append)
    for key in ("3", "4"):
        logs.follow(Log("run", execution_log(uuid(int(key))), "build", f"s{key}"))
    while logs.following:
        time.sleep(0.01)
    assert [line.text for line in shown] == ["one", "two"]


def test_until_done_is_not_misled_by_how_long_the_session_before_was_up(
    cli: Cli, fake: FakeAgent, state: Path
) -> None:
    """RUNNING for an hour, then RUNNING anew, with nothing seen in between."""
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    fake.live = [{"serviceId": uuid(1), "reference": "web", "phaseSince": since}]

    def put(session: str, phase: str) -> None:
        web = service(1, "web", phase, session=session)
        fake.services = [web | {"spec": web["spec"] | {"specVersion": "2"}}]  # a firing moves it
        fake.publish("SERVICE", uuid(1))

    def fire(_: Message) -> Message:
        put("s2", "RUNNING")
        enders.append(threading.Timer(0.3, put, ("s2", "FAILED")))
        enders[-1].start()
        return {"firing": {"id": uuid(9), "services": [{"id": uuid(1), "reference": "web"}]}}

    enders: list[threading.Timer] = []
    fake.on["FireTrigger"] = fire
    process = cli.spawn(
        *("up", "--state-dir", str(state), "--workspace", str(state)),
        *("--until-done", "--fire", "postEnvironmentStart"),
    )
    _, err = process.communicate(timeout=60)
    for ender in enders:
        ender.join()
    assert process.returncode == 1, err
    assert "Not succeeded: web." in err


def test_ctrl_c_detaches(cli: Cli, fake: FakeAgent, state: Path) -> None:
    fake.log_awaited = f"/logs/executions/{uuid(3)}"
    process = cli.spawn("up", "--state-dir", str(state), "--workspace", str(state))
    assert fake.log_asked.acquire(timeout=60)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Detached" in err
    assert not {"StopService", "StopTaskExecution"} & set(fake.methods())


@pytest.mark.parametrize("command", ["up", "attach"])
def test_a_reader_that_leaves_detaches(cli: Cli, fake: FakeAgent, state: Path, command: str) -> None:
    """At once, not when the next line comes; what was fired stays fired."""
    process = cli.spawn(command, "--state-dir", str(state))
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read().endswith("Detached; the agent and what it runs go on.\n")
    assert fake.methods().count("FireTrigger") == (2 if command == "up" else 0)
    process.stderr.close()


@pytest.mark.parametrize(("phase", "code"), [("SUCCEEDED", 0), ("FAILED", 1)])
def test_until_done_is_for_its_exit_code_not_its_reader(
    cli: Cli, fake: FakeAgent, state: Path, phase: str, code: int
) -> None:
    fake.log_awaited = f"/logs/executions/{uuid(3)}"
    process = cli.spawn("up", "--state-dir", str(state), "--until-done")
    assert process.stdout is not None
    process.stdout.close()
    assert fake.log_asked.acquire(timeout=60)
    fake.executions = [execution(3, uuid(2), phase, steps={"build": phase})]
    fake.publish("TASK_EXECUTION", uuid(3))
    assert process.wait(60) == code
    assert process.stderr is not None
    process.stderr.close()


class Deaf:
    """An agent of `up`'s own that comes down when it is told to kill; and the feed that tells of signals."""

    following = False

    def __init__(self, *signals: int) -> None:
        self.told = 0
        self._signals = list(signals)

    def next(self, _: float) -> Interrupt | None:
        return Interrupt(self._signals.pop(0)) if self._signals else None

    def stop(self) -> None:
        self.told += 1

    def ended(self) -> bool:
        return not self._signals

    def wait(self) -> int:
        return 0

    def words(self) -> str:
        return ""

    def close(self) -> None:
        pass


INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.mark.parametrize(
    ("signals", "told"),
    [
        ((INT,), 1),
        ((TERM, TERM, TERM), 1),
        ((INT, TERM), 1),
        ((INT, INT), 2),
        ((TERM, INT), 2),
        ((TERM, TERM, INT), 2),
        ((INT, TERM, INT), 2),
        ((INT, INT, INT, TERM, INT), 2),
    ],
)
def test_rule_7_1_ctrl_c_kills_what_is_being_stopped_whatever_else_was_told(
    signals: tuple[int, ...], told: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The agent is told once to stop and once, by SIGINT, to kill."""
    agent = Deaf(*signals)
    session = Session()
    Own(tmp_path, ())._follow(cast("AgentProcess", agent), cast("Feed", agent), session, until_done=False)
    assert agent.told == told
    assert capsys.readouterr().out.count("killing everything") == told - 1


def test_what_came_down_when_nobody_could_be_asked_any_more_has_ended(tmp_path: Path) -> None:
    """How is not known: the last block claims neither that it runs nor that it ended well."""
    session = Session()
    phases = ("RUNNING", "STOPPING", "FAILED", "SUCCEEDED")
    session.board.tasks = {each: Row(each, each, 0.0) for each in phases}
    agent = Deaf()
    Own(tmp_path, ())._follow(cast("AgentProcess", agent), cast("Feed", agent), session, until_done=False)
    assert [row.phase for row in session.board.tasks.values()] == ["ENDED", "ENDED", "FAILED", "SUCCEEDED"]
    assert "ENDED" in panel(session.board, 9.0, 80, 9)[1]


def test_a_broken_file_changes_nothing(cli: Cli, fake: FakeAgent, state: Path) -> None:
    (state / "broken.yaml").write_text("tasks: {x: {}}")
    told = cli("up", "--state-dir", str(state), "--workspace", str(state), str(state / "broken.yaml"))
    assert told.code == 2
    assert f"{state / 'broken.yaml'}:1:" in told.err
    assert not {"UpsertAutomationsFile", "FireTrigger"} & set(fake.methods())


def test_no_workspace(cli: Cli) -> None:
    told = cli("up", "--workspace", "/nowhere")
    assert told.code == 2
    assert "/nowhere is not a directory" in told.err


def test_on_a_terminal_a_status_block_stands_under_the_log(cli: Cli, fake: FakeAgent, state: Path) -> None:
    """With what processes use, which the agent is asked for only here."""
    usage = {"cpuSeconds": 1.5, "memoryBytes": str(120 << 20), "processes": 2, "ports": [3000]}
    since = (datetime.now(UTC) - timedelta(seconds=3610)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fake.live = [{"serviceId": uuid(1), "reference": "web", "phaseSince": since, "usage": usage}]
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    environ = {**cli.environ(), "TERM": "xterm-256color"}
    command = [
        sys.executable,
        "-m",
        "runner_agent",
        "up",
        "--state-dir",
        str(state),
        "--workspace",
        str(state),
    ]
    with subprocess.Popen(
        command, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, process_group=0
    ) as process:
        os.close(theirs)
        seen = ""
        while "120M  :3000" not in seen:
            seen += os.read(ours, 65536).decode(errors="replace")
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # the terminal's end
            while part := os.read(ours, 65536):
                seen += part.decode(errors="replace")
        assert process.wait(60) == 130
    os.close(ours)
    assert "served" in seen
    assert "1h00m" in seen, "since when it runs, not since when it is looked at"
    assert "Ctrl-C detaches and stops nothing." in seen
    assert "\x1b[Ahttp://127.0.0.1:7780/#code=opensesame\r\n" in seen, "on a line of its own, for one click"
    assert "Detached; the agent and what it runs go on." in seen
    assert ("ListLiveStatus", True) in {(name, asked.get("usage")) for name, asked in fake.asked}


def test_in_a_pipe_nobody_measures(cli: Cli, fake: FakeAgent, state: Path) -> None:
    process = cli.spawn(
        "up", "--state-dir", str(state), "--workspace", str(state), "--no-fire", "--until-done"
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "\x1b" in out) == (0, False), err
    assert "page: http://127.0.0.1:7780/ (" in out
    assert "opensesame" not in out + err, "a pipe may end in a file"
    assert all(not asked.get("usage") for _, asked in fake.asked)


def test_a_pipe_is_shown_lines_as_they_grow(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainView(Board())
    view.make_room(["web", "build"])
    view.line("build", "..", "1", whole=False)
    view.line("build", "....", "1", whole=False)
    view.line("web", "served", "2")
    view.line("build", ".....", "1")
    view.line("web", "10%", "2", whole=False)
    view.line("web", "50%", "2", whole=False)
    view.line("web", "50%", "2")
    view.line("build", "done", "1", whole=False)
    view.news("ended")
    view.line("build", "done", "1")
    view.line("build", "", "1")
    view.line("build", "open", "1", whole=False)
    view.close()
    assert capsys.readouterr().out == (
        "build | ....\nweb   | served\nbuild | .\nweb   | 10%\rweb   | 50%\nbuild | done\nagent | ended\n"
        "build | \nbuild | open\n"
    )


def test_dots_are_seen_before_their_line_ends(cli: Cli, fake: FakeAgent, state: Path) -> None:
    hold = threading.Event()
    fake.logs[f"/logs/executions/{uuid(3)}"] = [LogPart(b"first\n...", hold=hold)]
    process = cli.spawn("up", "--state-dir", str(state), "--workspace", str(state))
    assert process.stdout is not None
    seen = ""
    while "build | ..." not in seen:
        seen += process.stdout.read(1)
    hold.set()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    process.communicate()
