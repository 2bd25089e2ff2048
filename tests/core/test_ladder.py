"""The small parts: the ladder, one run, endings in words, outputs, decisions."""

from __future__ import annotations

import pytest

from runner_agent.core import ladder, proc
from runner_agent.core.decisions import REST, Kill, Note, Spawn, Terminate, do, rest
from runner_agent.core.endings import blame, seconds, signal_name, still_there, told_by_shell, with_last_line
from runner_agent.core.facts import (
    NeverStarted,
    Promised,
    RunEnded,
    RunFact,
    RunGone,
    Spawned,
    StopAsked,
    Waits,
)
from runner_agent.core.outputs import merged
from runner_agent.core.timing import Timing
from runner_agent.model.errors import IllegalFact
from runner_agent.model.ids import Instant, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import (
    Down,
    Ended,
    Ending,
    Exited,
    Gone,
    Handle,
    Idle,
    Kills,
    Live,
    Lost,
    NotStarted,
    Proc,
    Signaled,
    Starting,
    Survivor,
)

TASK, ID, OTHER, AT = RunRole.TASK, RunId("r1"), RunId("r2"), Instant(10.0)
HANDLE = Handle("x", ID)
OK, BAD = Exited(0), Exited(1)
IDLE, STARTING, LIVE = Idle(), Starting(ID, AT), Live(ID, AT, HANDLE)
WAITING = Starting(ID, AT, "for the sun")
ENDED, GONE = Ended(ID, AT, HANDLE, BAD), Gone(ID, AT, BAD)
TIMING = Timing()


FACTS: dict[str, RunFact] = {
    "promised": Promised(TASK, ID, AT),
    "waits": Waits(TASK, ID, "for the sun"),
    "spawned": Spawned(TASK, ID, AT, HANDLE),
    "never started": NeverStarted(TASK, ID),
    "ended": RunEnded(TASK, ID, AT, OK),
    "gone": RunGone(TASK, ID, AT, OK),
}


@pytest.mark.parametrize(
    ("before", "followers"),
    [
        (IDLE, {"promised": STARTING}),
        (
            STARTING,
            {"waits": WAITING, "spawned": LIVE, "never started": IDLE, "gone": Gone(ID, AT, OK)},
        ),
        (
            WAITING,
            {"waits": WAITING, "spawned": LIVE, "never started": IDLE, "gone": Gone(ID, AT, OK)},
        ),
        (LIVE, {"ended": Ended(ID, AT, HANDLE, OK), "gone": Gone(ID, AT, OK)}),
        (ENDED, {"gone": GONE}),
        (GONE, {"promised": STARTING}),
    ],
)
def test_what_can_follow_in_one_run(before: Proc, followers: dict[str, Proc]) -> None:
    for name, fact in FACTS.items():
        assert proc.expects(before, fact) == (name in followers)
        if name in followers:
            assert proc.fold(before, fact) == followers[name]
        else:
            with pytest.raises(IllegalFact):
                proc.fold(before, fact)


@pytest.mark.parametrize("before", [STARTING, LIVE, ENDED])
def test_rule_7_3_news_of_another_run_is_no_news_of_this_one(before: Proc) -> None:
    for fact in (
        Spawned(TASK, OTHER, AT, HANDLE),
        NeverStarted(TASK, OTHER),
        RunEnded(TASK, OTHER, AT, OK),
        RunGone(TASK, OTHER, AT, OK),
    ):
        assert not proc.expects(before, fact)


@pytest.mark.parametrize(
    ("one", "alive", "signalable", "commanding"),
    [
        (IDLE, False, False, False),
        (STARTING, True, False, True),
        (LIVE, True, True, True),
        (ENDED, True, True, False),
        (GONE, False, False, False),
    ],
)
def test_questions_about_a_run(one: Proc, alive: bool, signalable: bool, commanding: bool) -> None:
    assert (proc.alive(one), proc.signalable(one), proc.commanding(one)) == (alive, signalable, commanding)


@pytest.mark.parametrize(("count", "pause"), [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (5000, 30)])
def test_rule_3_8_back_off(count: int, pause: float) -> None:
    assert ladder.next_look(Kills(count, AT), TIMING) == AT + pause


@pytest.mark.parametrize(
    ("course", "now", "asked"),
    [
        (Down(AT), 10.0, do(Terminate(TASK))),
        (Down(AT), 5000.0, do(Terminate(TASK))),
        (Down(AT, terminated_at=AT), 129.999, rest(Instant(130.0))),
        (Down(AT, terminated_at=AT), 130.0, do(Kill(TASK))),
        (Down(AT, force=True), 10.0, do(Kill(TASK))),
    ],
)
def test_rule_3_7_the_ladder(course: Down, now: float, asked: object) -> None:
    assert ladder.bring_down(TASK, LIVE, course, Kills(), 120.0, Instant(now), TIMING) == asked


@pytest.mark.parametrize("one", [IDLE, STARTING, GONE])
def test_rule_7_3_no_signal_to_what_has_no_handle(one: Proc) -> None:
    for force in (False, True):
        course = Down(AT, force=force, terminated_at=AT)
        assert ladder.bring_down(TASK, one, course, Kills(), 120.0, Instant(9e9), TIMING) == REST


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Exited(0), ""),
        (Exited(1), "build exited with code 1"),
        (Exited(127), "build exited with code 127"),
        (Exited(127, "command not found"), "build exited with code 127 (command not found)"),
        (Signaled(15), "build was killed by SIGTERM"),
        (Signaled(31), "build was killed by SIGSYS"),
        (Signaled(0), "build was killed by signal 0"),
        (Signaled(9, oom=True), "build was killed by SIGKILL (out of memory)"),
        (NotStarted("no bash"), "build could not be started: no bash"),
        (Lost("supervisor lost"), "supervisor lost"),
    ],
)
def test_rule_3_5_and_4_4_endings_in_words(ending: Ending, words: str) -> None:
    assert blame("build", ending) == words


def test_words() -> None:
    assert [signal_name(number) for number in (1, 9, 15)] == ["SIGHUP", "SIGKILL", "SIGTERM"]
    assert [signal_name(number) for number in (34, 40, 63)] == ["SIGRTMIN", "SIGRTMIN+6", "SIGRTMIN+29"]
    assert [signal_name(number) for number in (64, 32, 99)] == ["SIGRTMAX", "signal 32", "signal 99"]
    assert [seconds(one) for one in (120.0, 1.5, 86400.0, 0.001)] == ["120 s", "1.5 s", "86400 s", "0.001 s"]
    assert with_last_line("x", "") == "x"
    assert with_last_line("", "y") == ""
    assert still_there(()) == ""
    assert "1 (a), 2 (b)" in still_there((Survivor(1, "a"), Survivor(2, "b")))


def test_rule_5_3_outputs_merge_and_nothing_new_is_the_same_object() -> None:
    present = {"a": "1", "b": "2"}
    assert merged(present, {"c": "3", "a": ""}) == {"b": "2", "c": "3"}
    assert merged(present, {"a": "1", "z": ""}) is present


def test_decisions_add_up_to_the_earlier_wake_up() -> None:
    both = rest(Instant(5.0)) | do(Spawn(TASK)) | rest(Instant(3.0))
    assert both == type(both)((Spawn(TASK),), Instant(3.0))
    assert (REST | REST) == REST
    assert do(Note(StopAsked(AT))).asks(Note(StopAsked(Instant(99.0))))


@pytest.mark.parametrize(
    ("code", "last_line", "why"),
    [
        (127, "bash: line 3: nosuch: command not found", "command not found"),
        (127, "sh: 1: nosuch: not found", "command not found"),
        (127, "bash: ./nosuch: No such file or directory", "command not found"),
        (127, "bash: exec: nosuch: not found", "command not found"),
        (127, 'exec: "nosuch": executable file not found in $PATH', "command not found"),
        (127, "foo: command not found", "command not found"),  # by `exit 127`, or ${foo:?command not found}
        (127, "bash: line 1: DATABASE_URL: set it first", ""),
        (127, "bash: line 1: DATABASE_URL: parameter null or not set", ""),
        (127, "bash: line 1: DATABASE_URL: not found", ""),
        (127, "", ""),
        (126, "bash: ./x: Permission denied", "found but not executable"),
        (126, "bash: /tmp: Is a directory", "found but not executable"),
        (126, "done", ""),
        (1, "bash: nosuch: command not found", ""),
    ],
)
def test_what_a_code_means_is_told_only_where_the_shell_said_so(code: int, last_line: str, why: str) -> None:
    """bash ends with 127 after ${VAR:?} too."""
    assert told_by_shell(Exited(code), last_line) == Exited(code, why)
    assert told_by_shell(Exited(code, "out of memory"), last_line) == Exited(code, "out of memory")
