"""The live view of `up`: the status block for so much room, and the share of a processor."""

from __future__ import annotations

import pytest

from runner_agent.cli.board import Board, Row, StepRow, Used
from runner_agent.cli.figures import cpu_time_of, memory_of, ports_of, show_bytes
from runner_agent.cli.meter import Meter
from runner_agent.cli.panel import panel
from runner_agent.cli.terminal import Marks
from runner_agent.client.addresses import Endpoint, UnixAddress
from runner_agent.client.agent import Agent
from runner_agent.client.transport import Transport


def board() -> Board:
    build = Row("build", "RUNNING", 90.0, message="1 of 2 steps")
    build.steps = {"a": StepRow("deps", "SUCCEEDED", 90.0, "2.0s"), "b": StepRow("compile", "RUNNING", 92.0)}
    return Board(
        services={
            "w": Row("web", "RUNNING", 40.0),
            "d": Row("db", "STARTING", 98.5),
            "x": Row("broken", "FAILED", 97.0, message="start exited with code 3"),
            "s": Row("idle", "STOPPED", 0.0),
        },
        tasks={"e": build},
        used={
            "w": Used(12.4, 120 << 20, (3000, 9229)),
            ("e", "compile"): Used(None, 5 << 20, ()),
        },
        hint="Ctrl-C stops everything in order.",
    )


def test_the_status_block() -> None:
    lines = panel(board(), 100.0, 80, 24)
    assert [line[2:] for line in lines[1:-1]] == [
        "web        RUNNING    1m00s    12%   120M  :3000 :9229",
        "db         STARTING    1.5s",
        "broken     FAILED      3.0s  start exited with code 3",
        "idle       STOPPED",
        "build      RUNNING      10s  1 of 2 steps",
        "  deps     SUCCEEDED   2.0s",
        "  compile  RUNNING     8.0s          5.0M",
    ]
    assert [line[0] for line in lines[1:-1]] == ["●", lines[2][0], "✗", "○", "●", "✓", "●"]
    assert lines[-1] == "Ctrl-C stops everything in order."
    assert set(lines[0]) == {"─"}


def test_rule_6_2_a_run_that_executions_share_is_one_row() -> None:
    """Another run of the same task beside it is another row."""
    now = Board(tasks={key: Row("build", "RUNNING", 90.0, run=run) for key, run in ("1r", "2r", "3s")})
    assert [line[2:] for line in panel(now, 100.0, 80, 24)[1:]] == ["build  RUNNING      10s"] * 2
    now.tasks["3"].phase = "SUCCEEDED"
    assert [line[2:7] for line in panel(now, 100.0, 80, 24)[1:]] == ["build"] * 2
    now.tasks["1"].phase = now.tasks["2"].phase = "SUCCEEDED"
    assert [line[2:] for line in panel(now, 100.0, 80, 24)[1:]] == ["build  SUCCEEDED    10s"]


def test_rule_2_10_a_live_run_of_an_older_definition_is_marked() -> None:
    now = board()
    now.outdated = frozenset({"w", "d", "s"})
    lines = panel(now, 100.0, 80, 24)
    assert lines[1].endswith("12%   120M  :3000 :9229  runs the previous definition")
    assert lines[2].endswith("runs the previous definition")
    assert lines[4].endswith("STOPPED"), "nothing of it runs"
    now.outdated = frozenset({("e", "compile"), ("e", "build"), ("f", "alone")})
    now.tasks["f"] = Row("alone", "RUNNING", 90.0)
    lines = panel(now, 100.0, 80, 24)
    assert [line.split()[1] for line in lines if "previous" in line] == ["compile", "alone"]


def test_what_does_not_fit_goes_in_order() -> None:
    """Plans first, then what rests."""
    names = [line.split()[1] for line in panel(board(), 100.0, 80, 7)[1:-1]]
    assert names == ["web", "db", "broken", "idle", "build"]
    lines = panel(board(), 100.0, 80, 6)
    assert [line.split()[1] for line in lines[1:-2]] == ["web", "db", "broken"]
    assert "and 2 more" in lines[-2]


@pytest.mark.parametrize("height", [2, 3, 4, 8])
def test_it_never_takes_more_than_its_room_and_one(height: int) -> None:
    assert len(panel(board(), 100.0, 80, height)) <= max(height, 3)


def test_of_a_task_that_ran_often_the_last_ended_run_is_shown() -> None:
    runs = {
        at: Row("build", phase, 0.0, took=f"{at}s")
        for at, phase in enumerate(["FAILED", "RUNNING", "SUCCEEDED"])
    }
    now = Board(tasks={str(at): row for at, row in runs.items()})
    assert [line.split()[2] for line in panel(now, 1.0, 80, 10)[1:]] == ["RUNNING", "SUCCEEDED"]


def test_long_names_are_cut_and_columns_stay() -> None:
    now = Board(services={"a": Row("a" * 60, "RUNNING", 0.0), "b": Row("b", "RUNNING", 0.0)})
    first, second = panel(now, 1.0, 80, 10)[1:]
    assert first.index("RUNNING") == second.index("RUNNING")
    assert "…" in first


def test_marks_without_unicode() -> None:
    assert [Marks(fancy=False).of(phase, 1) for phase in ("RUNNING", "FAILED", "STARTING", "?")] == list(
        "*!/-"
    )


def test_the_share_of_a_processor_comes_from_two_looks() -> None:
    now = Board()
    meter = Meter(Agent(Transport(Endpoint(UnixAddress("/none")))), now)

    def look(at: float, seconds: float) -> float | None:
        usage = {"cpuSeconds": seconds, "memoryBytes": "1024", "processes": 1, "ports": [80]}
        step = {"reference": "build", "executionIds": ["e"], "usage": usage}
        meter.take({"services": [{"serviceId": "w", "usage": usage}], "steps": [step]}, at)  # type: ignore[list-item,typeddict-item]
        assert now.used["w"] == now.used["e", "build"]
        return now.used["w"].cpu

    assert look(10.0, 5.0) is None
    assert now.outdated == frozenset()
    meter.take({"services": [{"serviceId": "w", "previousDefinition": True}], "steps": []}, 10.0)
    assert now.outdated == {"w"}
    meter.take(
        {"services": [], "steps": [{"reference": "b", "executionIds": ["e"], "previousDefinition": True}]},
        10.0,
    )
    assert now.outdated == {("e", "b")}
    assert look(10.0, 5.0) is None
    assert look(12.0, 6.0) == 50.0
    assert look(14.0, 6.0) == 0.0
    assert look(16.0, 0.5) == 0.0, "a new run counts from zero"
    meter.take({"services": [], "steps": []}, 18.0)
    assert now.used == {}


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0K"), (999 << 10, "999K"), (5 << 20, "5.0M"), (120 << 20, "120M"), (3 << 29, "1.5G")],
)
def test_bytes(count: int, shown: str) -> None:
    assert show_bytes(count) == shown


def test_figures_of_nothing_and_of_much() -> None:
    assert (memory_of(None), cpu_time_of(None), ports_of(None), ports_of({})) == ("-", "-", "-", "-")
    assert ports_of({"ports": [1, 2, 3, 4, 5]}) == "1, 2, 3 +2"
    assert cpu_time_of({"cpuSeconds": 75.0}) == "1m15s"
