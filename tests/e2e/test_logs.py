"""The logs endpoint: every byte, in order, from any place (rules 5.4 and 5.5)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import (
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

COUNT = "for i in $(seq 1 200); do echo line $i; echo error $i >&2; done"


def test_one_step_byte_for_byte_with_offset_and_range(shared: Stage) -> None:
    """Rule 5.4: stdout and stderr in the order written; rule 5.5: `offset` and `Range`."""
    shared.apply(automations(tasks=(task_yaml("counts", COUNT),)))
    execution = shared.run("counts")
    path = execution_path(execution)
    step = execution.get("status", {}).get("steps", [])[0]["id"]
    whole = shared.log(path, step=step)
    lines = [line for line in whole.splitlines() if line.startswith(("line", "error"))]
    assert lines == [f"{kind} {i}" for i in range(1, 201) for kind in ("line", "error")]
    for offset in (0, 1, 100, len(whole) - 1, len(whole)):
        assert shared.log(path, step=step, offset=offset) == whole[offset:]
    status, headers, body = shared.get_log(path, {"Range": "bytes=10-19"}, step=step)
    assert (status, body.decode()) == (206, whole[10:20])
    assert headers["content-range"] == f"bytes 10-19/{len(whole)}"
    status, _, body = shared.get_log(path, {"Range": "bytes=-7"}, step=step)
    assert (status, body.decode()) == (206, whole[-7:])
    status, _, _ = shared.get_log(path, {"Range": f"bytes={len(whole) + 10}-"}, step=step)
    assert status == 416
    assert shared.log(path, step=step, tail=3).count("\n") == 3


def test_follow_ends_with_the_object_and_misses_nothing(shared: Stage) -> None:
    """Rule 5.5: chunked text that follows until the object has ended."""
    slow = "for i in $(seq 1 40); do echo tick $i; sleep 0.02; done"
    shared.apply(automations(tasks=(task_yaml("ticks", slow),)))
    execution = shared.agent.start_task(shared.id_of("ticks"))
    followed = shared.log(execution_path(execution), follow="true")
    assert phase_of(shared.agent.get_execution(execution["id"])) == "SUCCEEDED"
    assert [line for line in followed.splitlines() if line.startswith("tick")] == [
        f"tick {i}" for i in range(1, 41)
    ]
    assert followed == shared.log(execution_path(execution))


def test_merged_order_is_the_same_for_every_reader(shared: Stage) -> None:
    """Rule 5.5: labels with more than one step; fixed once observed; `offset` counts the merged text."""
    part = "for i in $(seq 1 60); do echo $RUNNER_AGENT_REFERENCE $i; sleep 0.005; done"
    shared.apply(
        automations(
            tasks=(
                task_yaml("m-a", part),
                task_yaml("m-b", part),
                task_yaml("m-c", "echo done", more="dependsOn: [m-a, m-b]"),
            )
        )
    )
    execution = shared.agent.start_task(shared.id_of("m-c"))
    path = execution_path(execution)
    seen: list[str] = []
    readers = [
        threading.Thread(target=lambda: seen.append(shared.log(path, follow="true"))) for _ in range(3)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(30)
    assert len(seen) == 3
    seen.append(shared.log(path))
    assert len(set(seen)) == 1, "the merged order is stable"
    merged = seen[0]
    for name in ("m-a", "m-b"):
        numbers = [
            line.rsplit(" ", 1)[1]
            for line in merged.splitlines()
            if f"{name} " in line
            and line.rsplit(" ", 1)[1].isdigit()
            and line.rsplit(" ", 2)[-2].endswith(name)
        ]
        assert numbers == [str(i) for i in range(1, 61)]
    assert shared.log(path, offset=100) == merged[100:]
    assert merged.splitlines()[-1].startswith("m-c")


def test_rule_5_5_dots_and_bars_of_merged_steps_show_at_once_and_outlive_the_agent(stage: Stage) -> None:
    """No line here has an end before the test says so."""
    stage.start()
    tasks = (
        task_yaml("dots", "printf ...; until test -e on; do sleep 0.05; done; printf '.\\n'"),
        task_yaml("bar", r"printf '10%%\r50%%\r'; until test -e on; do sleep 0.05; done; printf '99%%\n'"),
        task_yaml("both", "true", more="dependsOn: [dots, bar]"),
    )
    stage.apply(automations(tasks=tasks))
    execution = stage.agent.start_task(stage.id_of("both"))
    path = execution_path(execution)
    seen = ""
    with stage.connection() as http:
        http.request("GET", path)
        answer = http.getresponse()
        while "dots | ..." not in seen or "bar | 50%" not in seen:
            part = answer.read1().decode()
            assert part, seen
            seen += part
    stage.daemon.sigkill()
    stage.start()
    (stage.workspace / "on").touch()
    rest = stage.log(path, follow="true", offset=len(seen))
    whole = stage.log(path)
    assert whole == seen + rest
    drawn = [text for text in whole.replace("\r", "\n").split("\n") if text]
    assert {text.partition(" | ")[0] for text in drawn} == {"dots", "bar", "both"}
    assert sum(text.count(".") for text in drawn if text.removeprefix("dots | ").strip(".") == "") == 4
    assert [text for text in drawn if text.endswith("%")] == ["bar | 10%", "bar | 50%", "bar | 99%"]


def test_log_url_and_bad_questions(shared: Stage) -> None:
    """Rules 3.14 and 5.5."""
    shared.apply(automations(services=(service_yaml("urls", "echo up; exec sleep 60"),)))
    assert "logUrl" not in shared.service("urls").get("status", {})
    shared.ok("service", "start", "urls", "--wait=60")
    service = shared.service("urls")
    assert service.get("status", {}).get("logUrl", "").endswith(service_path(service))
    assert service.get("status", {}).get("logUrl", "").startswith("http://localhost/")
    assert shared.get_log("/logs/services/00000000-0000-4000-8000-000000000000")[0] == 404
    assert shared.get_log(service_path(service), role="bake")[0] == 400
    assert shared.get_log(service_path(service), offset="many")[0] == 400
    role = shared.log(service_path(service), role="start")
    assert "up" in role
    shared.ok("service", "stop", "urls", "--wait=60")


def test_a_line_without_end_progress_bars_and_bad_utf8(shared: Stage) -> None:
    """From the regression corpus: a huge line, carriage returns only, bytes that are no text."""
    command = r"""head -c 3000000 /dev/zero | tr '\0' x
for i in $(seq 100); do printf '%s%%\r' $i; done
printf '\377\376 no text \303'"""
    shared.apply(automations(tasks=(task_yaml("weird", command),)))
    execution = shared.run("weird")
    assert phase_of(execution) == "SUCCEEDED"
    step = execution.get("status", {}).get("steps", [])[0]["id"]
    body = shared.get_log(execution_path(execution), step=step)[2]
    assert body.count(b"x") >= 3_000_000
    assert b"\xff\xfe no text \xc3" in body
    assert b"100%\r" in body


def test_a_background_child_that_holds_stdout_ends_with_its_task(shared: Stage) -> None:
    """Rule 4.7: leftovers get SIGTERM, and are named in the log; what they wrote is there."""
    shared.apply(
        automations(
            tasks=(
                task_yaml(
                    "leaves",
                    "(trap 'echo child ends; exit' TERM; touch in-place; while :; do sleep 0.05; done) & "
                    "until [ -e in-place ]; do sleep 0.01; done; echo leader ends",
                ),
            )
        )
    )
    execution = shared.run("leaves")
    assert phase_of(execution) == "SUCCEEDED"
    log = shared.log(execution_path(execution))
    assert "leader ends" in log
    assert "child ends" in log
    assert "left behind" in log


def test_nobody_is_slowed_by_a_reader_that_does_not_read(shared: Stage) -> None:
    """Rule 5.4."""
    command = "head -c 20000000 /dev/zero | tr '\\0' 'y' | fold -w 100"
    shared.apply(automations(tasks=(task_yaml("fast", command),)))
    execution = shared.agent.start_task(shared.id_of("fast"))
    with shared.connection() as http:
        http.request("GET", f"{execution_path(execution)}?follow=true")
        answer = http.getresponse()
        answer.read(1)
        assert phase_of(shared.await_execution(execution["id"], 20)) == "SUCCEEDED"
        body = answer.read()
    assert body.count(b"y") >= 19_999_999


def test_rule_5_4_scripts_that_open_dev_stderr_keep_their_log(shared: Stage) -> None:
    command = (
        "echo one; echo two > /dev/stderr; echo three | tee /dev/stderr >/dev/null; echo four >/dev/stdout"
    )
    shared.apply(automations(tasks=(task_yaml("opens", command),)))
    log = shared.log(execution_path(shared.run("opens")))
    written = [line for line in log.splitlines() if not line.startswith("runner-agent: ")]
    assert written == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    "megabytes", [pytest.param(100, id="100MB"), pytest.param(1000, id="1GB", marks=pytest.mark.heavy)]
)
def test_a_huge_line_without_end_is_capped_and_read_in_bounded_memory(megabytes: int) -> None:
    """Rules 5.4 and 5.5: what is kept is no more than the cap, offsets stay, and the gap is told."""
    with staged(RUNNER_AGENT_LOG_CAP=str(8 << 20)) as stage:
        stage.start(
            file=automations(tasks=(task_yaml("long", f"head -c {megabytes}000000 /dev/zero | tr '\\0' x"),))
        )
        execution = stage.agent.start_task(stage.id_of("long"))
        ended = stage.await_execution(execution["id"], 120)
        assert phase_of(ended) == "SUCCEEDED"
        path, step = execution_path(ended), step_of(ended, "long")["id"]
        wait_until(lambda: int(stage.get_log(path, step=step)[1]["x-log-start"]) > 0, 10)
        _, headers, body = stage.get_log(path, step=step)
        start = int(headers["x-log-start"])
        gap, rest = body.split(b"\n", 1)
        assert b"bytes are gone, the log is over its cap" in gap
        assert len(rest) <= 8 << 20
        written, _, note = rest.partition(b"\n")
        assert note.startswith(b"runner-agent: task exited with code 0")
        assert len(written) == megabytes * 1_000_000 + len("runner-agent: long: task\n") - start
        assert "exited with code 0" in stage.log(path, tail=1)
        assert _peak(stage.daemon.process.pid) < 100 * 1024


def _peak(pid: int) -> int:
    """KiB of memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def test_rule_4_9_the_log_goes_with_the_execution() -> None:
    with staged(RUNNER_AGENT_EXECUTIONS_KEPT="2") as stage:
        stage.start(file=automations(tasks=(task_yaml("again", "echo hello"),)))
        logs = [set[Path]()]
        for _ in range(5):
            stage.run("again")
            logs.append(set((stage.state / "logs" / "runs").iterdir()))
        assert stage.daemon.terminate() == 0
        stage.start()  # it tidies up at its start, and then once in a while
        newest = logs[-1] - logs[-3]
        assert len(newest) == 2
        wait_until(lambda: set((stage.state / "logs" / "runs").iterdir()) == newest, 20, "old logs are gone")


def test_rule_5_7_a_log_that_cannot_be_made_is_told(stage: Stage) -> None:
    """There is no log to tell it in, so the failure message does."""
    stage.start(file=automations(tasks=(task_yaml("lost", "echo hello"),)))
    (stage.state / "logs").mkdir(exist_ok=True)
    (stage.state / "logs" / "runs").write_text("in the way")
    ended = stage.run("lost")
    assert phase_of(ended) == "FAILED"
    message = ended.get("status", {}).get("failureMessage", "")
    assert "log or output file cannot be made" in message
    assert str(stage.state / "logs") in message
