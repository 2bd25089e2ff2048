"""News: the watch rings and the timeline tells, also of what happened while the agent was away."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from runner_agent.client import news as news_module
from runner_agent.client.agent import Agent
from runner_agent.client.errors import AgentUnreachable
from runner_agent.client.news import latest, news, place
from tests.client.fake_agent import FakeAgent, Message

if TYPE_CHECKING:
    from pathlib import Path

    from runner_agent.client.transport import Transport


class History:
    """A fake agent's timeline."""

    def __init__(self, fake: FakeAgent) -> None:
        self.entries: list[Message] = []
        self.attach(fake)

    def attach(self, fake: FakeAgent) -> None:
        self.fake = fake
        fake.on["ListTimeline"] = self.answer

    def answer(self, message: Message) -> Message:
        reference = message.get("filter", {}).get("reference", "")
        found = [one for one in reversed(self.entries) if not reference or one["reference"] == reference]
        return FakeAgent._page(message, "entries", found)

    def add(self, reference: str = "web") -> str:
        place = str(len(self.entries) + 1)
        self.entries.append({"reference": reference, "place": place, "text": f"news {place}"})
        return place

    def ring(self) -> None:
        self.fake.publish("SERVICE", "some")


@pytest.fixture
def history(fake: FakeAgent) -> History:
    return History(fake)


def test_only_what_comes_is_told_oldest_first(history: History, transport: Transport) -> None:
    history.add()
    told = news(Agent(transport))

    def come() -> None:
        assert history.fake.watched.acquire(timeout=60)
        for _ in range(3):
            history.add()
        history.ring()

    threading.Thread(target=come, daemon=True).start()
    assert [place(next(told)) for _ in range(3)] == [2, 3, 4]
    told.close()


def test_it_begins_with_the_last_ones_if_asked(history: History, transport: Transport) -> None:
    for _ in range(250):
        history.add()
    told = news(Agent(transport), tail=2)
    assert [place(next(told)) for _ in range(2)] == [249, 250]
    told.close()
    assert [place(one) for one in latest(Agent(transport), "", 103)] == [*range(148, 251)]


def test_what_concerns_others_is_not_told(history: History, transport: Transport) -> None:
    history.add("api")
    history.add("web")
    told = news(Agent(transport), "api", tail=5)
    assert place(next(told)) == 1
    history.add("web")
    history.add("api")
    assert place(next(told)) == 4
    told.close()


def test_nothing_is_missed_while_the_agent_is_away(
    history: History, transport: Transport, scratch: Path
) -> None:
    """Rule 7.2."""
    first = history.add()
    heard: list[str] = []
    again = FakeAgent()

    def restart() -> None:
        path = scratch / "s"
        path.unlink(missing_ok=True)
        history.attach(again)
        again.listen_unix(path)

    def gone() -> None:
        heard.append("gone")
        history.fake.close()
        history.add()
        restart()

    def interrupt() -> None:
        assert history.fake.watched.acquire(timeout=60)
        history.fake.end_watches()

    told = news(Agent(transport), tail=1, on_loss=gone, on_return=lambda: heard.append("back"))
    assert place(next(told)) == int(first)
    threading.Thread(target=interrupt, daemon=True).start()
    assert place(next(told)) == 2
    assert heard == ["gone", "back"]
    told.close()
    again.close()


def test_an_agent_that_stays_away_ends_it(
    history: History, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news_module, "PATIENCE", 0.3)
    told = news(Agent(transport), tail=1)
    history.add()
    assert place(next(told)) == 1
    history.fake.close()
    with pytest.raises(AgentUnreachable):
        next(told)


def test_an_agent_that_was_never_there(fake: FakeAgent, transport: Transport) -> None:
    fake.close()
    with pytest.raises(AgentUnreachable):
        next(news(Agent(transport)))
