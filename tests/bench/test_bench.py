"""The benchmark measures, judges and reports; how fast anything is, is not judged here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bench import __main__ as program
from bench import measure, report
from bench.budgets import BUDGETS
from bench.measure import Figure, median, quantile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of its own for results."""
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """`python -m bench ARGUMENTS`."""
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    return program.main()


def test_a_quick_subject_appends_lines_and_prints_a_table(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--quick", "command") == 0
    (line,) = [json.loads(text) for text in (results / "command.jsonl").read_text().splitlines()]
    assert line["name"] == "command.list"
    assert line["value"] > line["baseline"] > 0
    assert line["ratio"] == pytest.approx(line["value"] / line["baseline"], abs=0.01)
    assert line["quick"] is True
    assert line.keys() >= {"n", "unit", "commit", "date", "cpus", "kernel", "python", "busy"}
    assert BUDGETS["command.list"].title in capsys.readouterr().out
    assert "Nothing has been measured" in report.circumstances(), "a quick run enters no table"


def test_a_subject_that_fails_is_told_and_costs_only_itself(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> list[Figure]:
        raise RuntimeError("the agent does not start")

    monkeypatch.setattr("bench.figures.command.measure", broken)
    assert run(monkeypatch, "command") == 1
    assert "command cannot be measured: the agent does not start" in capsys.readouterr().err
    assert not list(results.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "baseline", "verdict"),
    [
        ("request.p50", 2.0, 1.0, "met"),
        ("request.p50", 3.0, 1.0, "not met"),
        ("fleet.calls", 301.0, 100.0, "not met"),
        ("logs.blocks", 960.0, 1000.0, "met"),
        ("logs.blocks", 900.0, 1000.0, "not met"),
        ("cold.first", 9000.0, 1.0, ""),
    ],
)
def test_budgets_are_judged(name: str, value: float, baseline: float, verdict: str) -> None:
    assert report.row(name, value, "ms", baseline).verdict == verdict


def test_tables_show_the_newest_full_measurement(results: Path) -> None:
    facts: dict[str, object] = {
        "quick": False, "busy": 0.5, "commit": "none", "cpus": 2, "kernel": "6", "python": "3",
    }  # fmt: skip
    measure.append("command", [Figure("command.list", 90.0, "ms", 8, 20.0)], facts)
    measure.append("command", [Figure("command.list", 80.0, "ms", 8, 20.0)], facts)
    measure.append("command", [Figure("command.list", 70.0, "ms", 8, 20.0)], facts | {"quick": True})
    assert "| 80 ms | 20 ms | 4.00 | <= 120 ms | met |" in report.speed_table()
    assert "2 processors" in report.circumstances()
    assert len(report.cost_table().splitlines()) == 2


def test_every_budget_has_its_place_in_a_table() -> None:
    prefixes = tuple(prefix for table in report.SUBJECTS.values() for prefix in table)
    assert all(name.startswith(prefixes) for name in BUDGETS)


def test_quantiles_are_samples() -> None:
    samples = [float(number) for number in range(1, 101)]
    assert quantile(samples, 0.99) == 99
    assert median(samples) == 50
    assert quantile([7.0], 0.99) == 7
