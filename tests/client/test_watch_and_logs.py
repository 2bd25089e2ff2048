"""Waiting by events, and logs, also when the agent goes away and comes back."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from runner_agent.client import logs as logs_module
from runner_agent.client import watch as watch_module
from runner_agent.client.errors import AgentUnreachable, ApiError, WaitTimedOut
from runner_agent.client.logs import LogHead, LogQuery, last_lines, log_head, read_log
from runner_agent.client.watch import Pending, wait_for, wait_for_each
from tests.client.fake_agent import FakeAgent, LogPart

if TYPE_CHECKING:
    from pathlib import Path

    from runner_agent.client.transport import Transport


def test_it_looks_once_the_subscription_stands_and_after_each_change(
    fake: FakeAgent, transport: Transport
) -> None:
    looks: list[int] = []

    def look() -> str | Pending:
        assert fake.watchers, "the look must not come before the subscription"
        looks.append(len(looks))
        if len(looks) < 3:
            fake.publish("SERVICE", "other")
            fake.publish("SERVICE", "mine")
            return Pending()
        return "done"

    assert wait_for(transport, look, {"mine"}) == "done"
    assert len(looks) == 3, "changes of others are no reason to look"


def test_it_gives_up_in_time(transport: Transport) -> None:
    began = time.monotonic()
    with pytest.raises(WaitTimedOut):
        wait_for(transport, Pending, {"mine"}, timeout=0.2)
    assert 0.2 <= time.monotonic() - began < 30


def test_one_subscription_for_many_and_each_looks_when_it_changes(
    fake: FakeAgent, transport: Transport
) -> None:
    looks: list[str] = []

    def look(name: str) -> str | Pending:
        looks.append(name)
        if len(looks) == 2:
            fake.publish("SERVICE", "a")
        return name if looks.count(name) > 1 else Pending()

    found = wait_for_each(transport, {"a": lambda: look("a"), "b": lambda: look("b")}, timeout=0.5)
    assert found == {"a": "a"}, "b did not come in time"
    assert looks == ["a", "b", "a"]
    assert len(fake.watchers) <= 1


def test_what_no_event_tells_of_is_looked_at_now_and_then(transport: Transport) -> None:
    ahead = iter([Pending(), Pending(), "there"])
    assert wait_for_each(transport, {"a": lambda: next(ahead)}, timeout=60, pace=0.05) == {"a": "there"}
    assert wait_for_each(transport, {"a": Pending}, timeout=0.2, pace=60) == {}


def test_what_look_raises_is_raised(transport: Transport) -> None:
    def look() -> Pending:
        raise ApiError("not_found", "gone")

    with pytest.raises(ApiError, match="gone"):
        wait_for(transport, look)


def test_it_goes_on_when_the_agent_comes_back(fake: FakeAgent, transport: Transport, scratch: Path) -> None:
    """Rule 7.2: a restart keeps what runs, so who waits for it goes on waiting."""
    looks: list[int] = []

    def look() -> str | Pending:
        looks.append(len(looks))
        return Pending() if len(looks) == 1 else "done"

    def restart() -> None:
        fake.watched.acquire()
        fake.close()
        (scratch / "s").unlink()
        fake.listen_unix(scratch / "s")

    thread = threading.Thread(target=restart)
    thread.start()
    assert wait_for(transport, look) == "done"
    thread.join()


def test_an_agent_that_stays_away_is_unreachable(
    fake: FakeAgent, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "COMEBACK", 0.1)

    def look() -> Pending:
        threading.Thread(target=fake.close).start()
        return Pending()

    with pytest.raises(AgentUnreachable):
        wait_for(transport, look)


def test_a_log_is_asked_for_as_wanted(fake: FakeAgent, transport: Transport) -> None:
    fake.logs["/logs/services/x"] = [LogPart(b"a\n"), LogPart(b"b\n"), LogPart(b"")]
    query = LogQuery(follow=False, offset=7, role="ready")
    assert b"".join(read_log(transport, "/logs/services/x", query)) == b"a\n"
    assert last_lines(transport, "/logs/services/x", 3) == "b\n"
    list(read_log(transport, "/logs/services/x", LogQuery(step="s")))
    assert fake.log_queries == [
        "follow=false&offset=7&role=ready",
        "follow=false&tail=3",
        "follow=true&step=s",
    ]


def test_a_log_that_was_cut_off_is_resumed_at_its_byte(fake: FakeAgent, transport: Transport) -> None:
    fake.logs["/l"] = [LogPart(b"one\ntw", 10, cut=True), LogPart(b"o\nthree\n", 16)]
    assert b"".join(read_log(transport, "/l", LogQuery(tail=5))) == b"one\ntwo\nthree\n"
    assert fake.log_queries == ["follow=true&tail=5", "follow=true&offset=16"]


@pytest.mark.parametrize(
    "query", [LogQuery(follow=False), LogQuery(offset=3)], ids=["not following", "older bytes are gone"]
)
def test_a_log_that_cannot_be_resumed_exactly_is_not(
    fake: FakeAgent, transport: Transport, query: LogQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_module, "COMEBACK", 5)
    fake.logs["/l"] = [LogPart(b"one\n", 9, cut=True), LogPart(b"never\n")]
    with pytest.raises(AgentUnreachable, match="went away"):
        list(read_log(transport, "/l", query))


def test_the_end_of_a_log(fake: FakeAgent, transport: Transport) -> None:
    fake.logs["/l"] = [LogPart(b"", 4711)]
    assert log_head(transport, "/l") == LogHead("/l", 4711)
    assert fake.log_queries == ["follow=false&tail=0"]
