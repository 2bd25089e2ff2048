"""`logs`: one log as raw bytes, several as lines with prefixes, and who may be named."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from runner_agent.cli.interleaved import LINE_LIMIT, REST, Unfinished, interleaved
from runner_agent.cli.prefixes import Prefixes
from runner_agent.client.errors import ApiError
from tests.client.fake_agent import LogPart, execution, service, task, uuid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent

WEB, DB, RUN = f"/logs/services/{uuid(1)}", f"/logs/services/{uuid(2)}", f"/logs/executions/{uuid(4)}"


@pytest.fixture
def logged(fake: FakeAgent) -> FakeAgent:
    fake.services = [service(1, "web", "RUNNING"), service(2, "db")]
    fake.tasks = [task(3, "build")]
    fake.executions = [execution(4, uuid(3), "SUCCEEDED")]
    fake.logs[WEB] = [LogPart(b"\x00served \xff\r\nno end")]
    fake.logs[DB] = [LogPart(b"50 %\r100 %\nbye\n")]
    fake.logs[RUN] = [LogPart(b"built\n")]
    return fake


def test_one_log_is_raw(logged: FakeAgent) -> None:
    """Byte by byte, whatever it holds."""
    environ = {**os.environ, "RUNNER_AGENT_ADDRESS": logged.address}
    command = [sys.executable, "-m", "runner_agent", "logs", "web"]
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True, timeout=60)
    assert done.stdout == b"\x00served \xff\r\nno end"


@pytest.mark.parametrize("follow", [[], ["--no-follow"]], ids=" ".join)
def test_several_have_plain_prefixes_in_a_pipe(cli: Cli, logged: FakeAgent, follow: list[str]) -> None:
    logged.logs[WEB] = [LogPart(b"served\nno end")]
    told = cli("logs", "web", "db", "build", *follow)
    assert told.code == 0
    assert sorted(told.out.splitlines()) == sorted(
        ["web | served", "web | no end", "db | 50 %", "db | 100 %", "db | bye", "build | built"]
    ), "the prefix stands again where a line is drawn anew; Python's splitlines splits there too"


def test_without_following_the_order_is_that_of_the_names(cli: Cli, logged: FakeAgent) -> None:
    logged.logs[DB] = [LogPart(b"bye\n")]
    logged.logs[WEB] = [LogPart(b"served\n")]
    told = cli("service", "logs", "db", "web", "--no-follow", "--tail", "3")
    assert told.out == "db | bye\nweb | served\n"
    assert logged.log_queries == ["follow=false&tail=3"] * 2


def test_without_names_it_is_all_that_runs(cli: Cli, logged: FakeAgent) -> None:
    logged.logs[WEB] = [LogPart(b"served\n")]
    assert cli("logs", "--no-follow").out == "web | served\n"
    logged.services = []
    assert "Nothing runs" in cli("logs").err


def test_task_logs_of_several(cli: Cli, logged: FakeAgent) -> None:
    logged.tasks.append(task(5, "test"))
    logged.executions.append(execution(6, uuid(5), "FAILED"))
    logged.logs[f"/logs/executions/{uuid(6)}"] = [LogPart(b"tested\n")]
    assert cli("task", "logs", "build", "test", "--no-follow").out == "build | built\ntest | tested\n"


@pytest.mark.parametrize("command", ["logs", "task logs"])
def test_a_task_that_ran_as_a_step_of_another(cli: Cli, logged: FakeAgent, command: str) -> None:
    """Where its newest run is, and the log of that; one of its own that is older does not hide it."""
    logged.tasks.append(task(5, "install"))
    steps = {"install": "SUCCEEDED", "build": "RUNNING"}
    logged.executions = [execution(6, uuid(5), "SUCCEEDED"), execution(4, uuid(3), "RUNNING", steps=steps)]
    step = logged.executions[1]["spec"]["plan"][0]["steps"][0]
    step["task"] = {"id": uuid(5)}
    logged.logs[RUN] = [LogPart(b"installed\n")]
    told = cli(*command.split(), "install", "--no-follow")
    assert (told.code, told.out) == (0, "installed\n")
    assert "install ran last as a step of build" in told.err


@pytest.mark.parametrize("command", ["logs", "task logs"])
def test_a_step_that_is_the_run_of_the_task_s_own_execution(
    cli: Cli, logged: FakeAgent, command: str
) -> None:
    """Rule 6.2: both executions show one run, so there is nothing to be told of another's."""
    logged.tasks.append(task(5, "install"))
    steps = {"install": "SUCCEEDED", "build": "RUNNING"}
    logged.executions = [
        execution(6, uuid(5), "SUCCEEDED", steps={"install": "SUCCEEDED"}),
        execution(4, uuid(3), "RUNNING", steps=steps),
    ]
    own, step = (each["spec"]["plan"][0]["steps"][0] for each in logged.executions)
    step["task"] = {"id": uuid(5)}
    logged.log_ids = {own["id"]: "run", step["id"]: "run"}
    logged.logs["run"] = [LogPart(b"")]
    logged.logs[f"/logs/executions/{uuid(6)}"] = [LogPart(b"installed\n")]
    told = cli(*command.split(), "install", "--no-follow")
    assert (told.code, told.out, told.err) == (0, "installed\n", "")
    logged.log_ids[step["id"]] = "another run"
    logged.logs["another run"] = [LogPart(b"again\n")]
    told = cli(*command.split(), "install", "--no-follow")
    assert told.out == "again\n"
    assert "install ran last as a step of build" in told.err
    assert "runner-agent task logs 00000000 --step install" in told.err
    assert logged.log_queries[-1] == f"follow=false&step={step['id']}"


def test_a_task_that_never_ran(cli: Cli, logged: FakeAgent) -> None:
    logged.executions = [execution(4, uuid(3), "PENDING", steps={"install": None, "build": None})]
    logged.executions[0]["spec"]["plan"][0]["steps"][0]["task"] = {"id": uuid(5)}
    logged.tasks.append(task(5, "install"))
    told = cli("logs", "install")
    assert told.code == 2, "its step has not begun"
    assert "'install' has never been started" in told.err


def test_an_unknown_name_is_told_with_the_one_that_was_meant(cli: Cli, logged: FakeAgent) -> None:
    told = cli("logs", "web", "wep")
    assert (told.code, told.out) == (2, "")
    assert "Did you mean 'web'?" in told.err


def test_an_offset_is_of_one_log(cli: Cli, logged: FakeAgent) -> None:
    assert cli("logs", "web", "db", "--offset", "3").code == 2


def test_ctrl_c_detaches(cli: Cli, logged: FakeAgent) -> None:
    hold = threading.Event()
    logged.logs[WEB] = [LogPart(b"served\n")]
    logged.logs[DB] = [LogPart(b"first\n", hold=hold)]
    with cli.spawn("logs", "db", "web") as process:
        assert process.stdout is not None
        assert "db | first\n" in {process.stdout.readline() for _ in range(2)}
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    hold.set()
    assert not {"StopService", "StopTaskExecution"} & set(logged.methods())


def test_on_a_terminal_prefixes_are_aligned_and_coloured(cli: Cli, logged: FakeAgent) -> None:
    ours, theirs = pty.openpty()
    environ = {**cli.environ(), "TERM": "xterm"}
    environ.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "runner_agent", "logs", "db", "web", "--no-follow"]
    subprocess.run(command, env=environ, stdout=theirs, check=True, timeout=60)
    os.close(theirs)
    told = os.read(ours, 65536).decode(errors="replace")
    os.close(ours)
    assert "\x1b[36mdb  | \x1b[0m100 %\r\n" in told, "of a progress bar the last state is shown"
    assert "\x1b[35mweb | \x1b[0m" in told


def test_an_unfinished_line_is_shown_once_it_rests() -> None:
    line = Unfinished()
    assert line.take(b"a", 0.0) == line.rested(REST / 2) == b""
    assert line.take(b"b\nc", REST / 2) == b"ab\n"
    assert line.rested(REST) == b"", "the rest of `c` began later"
    assert line.take(b"d\xe2", REST) == b""
    assert line.rested(2 * REST) == b"cd", "no half character"
    assert line.due == float("inf"), "nothing to wait for but bytes"
    assert line.take(b"\x82\xac", 3 * REST) == b""
    assert line.rested(4 * REST) == "€".encode()
    assert line.take(b"x" * (LINE_LIMIT + 1), 5 * REST) == b"x" * (LINE_LIMIT + 1)
    assert line.rested(9 * REST) == b""


def test_dots_and_bars_are_seen_while_they_are_drawn(cli: Cli, logged: FakeAgent) -> None:
    hold = threading.Event()
    logged.logs[WEB] = [LogPart(b"....", hold=hold)]
    logged.logs[DB] = [LogPart(b"10%\r50%", hold=hold)]
    with cli.spawn("logs", "web", "db") as process:
        assert process.stdout is not None
        told = ""
        while not ("web | ...." in told and "db | 50%" in told):  # read as text, where \r is an end too
            told += process.stdout.read(1)
        hold.set()
        told += process.stdout.read()
        assert process.wait(60) == 0
    assert sorted(told.splitlines()) == ["db | 10%", "db | 50%", "web | ...."]
    assert told.endswith("\n")


def test_one_log_that_fails_does_not_hide_the_others() -> None:
    def breaks() -> Iterator[bytes]:
        yield b"before\n"
        raise ApiError("not_found", "it is gone")

    found: list[tuple[int, bytes]] = []
    with pytest.raises(ApiError, match="gone"):
        found.extend(interleaved([breaks, lambda: iter([b"whole\n"])], at_once=True))
    # `extend` keeps what came before the error.
    assert sorted(found) == [(0, b"before\n"), (1, b"whole\n")]


def test_a_long_label_pushes_only_its_own_lines_out() -> None:
    prefixes = Prefixes(["a" * 40, "b"], align=True)
    assert prefixes.of("b") == f"{'b':<20} | "
    assert prefixes.of("a" * 40) == f"{'a' * 40} | "
