"""The last lines of a log, as messages and explanations quote them (rules 3.4, 4.4)."""

from pathlib import Path

import pytest

from runner_agent.logs.last import last_attempt, last_line, last_lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "start.log"


def test_the_newest_lines_oldest_first(log: Path) -> None:
    log.write_text("".join(f"line {n}\n" for n in range(5)))
    assert last_lines(log, 2) == ("line 3", "line 4")
    assert last_lines(log, 9) == tuple(f"line {n}" for n in range(5))


def test_the_agents_own_lines_are_told_or_left_out(log: Path) -> None:
    log.write_text("one\nrunner-agent: start exited with code 1\n\n")
    assert last_lines(log, 2) == ("one", "runner-agent: start exited with code 1")
    assert last_lines(log, 2, notes=False) == ("one",)
    assert last_line(log) == "one"


def test_rule_3_3_of_ready_the_lines_of_the_last_attempt_that_has_ended(log: Path) -> None:
    opening, ending = "runner-agent: web: ready\n", "runner-agent: ready exited with code 7 after 0.1 s\n"
    log.write_text(f"{opening}refused\n{ending}{opening}late\nlater\n")
    assert last_attempt(log, "web", 9, under_way=True) == ("refused",)
    assert last_attempt(log, "web", 9, under_way=False) == ("late", "later")
    assert last_attempt(log, "web", 1, under_way=False) == ("later",)
    log.write_text("x" * 9000 + "\nrefused\n")
    assert last_attempt(log, "web", 9, under_way=True) == ("refused",), "of a large log only the end is read"


def test_a_line_that_was_cut_at_its_beginning_is_not_told(log: Path) -> None:
    """Only the end of a large log is read."""
    log.write_text("x" * 9000 + "\nlast\n")
    assert last_lines(log, 5) == ("last",)
    log.write_text("y" * 9000)
    (only,) = last_lines(log, 5)
    assert only.endswith("…")


def test_a_progress_bar_is_its_latest_state(log: Path) -> None:
    log.write_text("10%\r50%\r100%\r\ndone\n")
    assert last_lines(log, 5) == ("100%", "done")


def test_what_cannot_be_read_has_no_lines(log: Path) -> None:
    assert last_lines(log, 5) == ()
    assert last_line(log) == ""
