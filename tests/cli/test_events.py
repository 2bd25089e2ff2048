"""`events`: formats, and what may be named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.client.fake_agent import Message, execution, service, uuid

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent

RUN = "3f1c6f0e-0000-4000-8000-000000000001"
ENTRIES = [
    {
        "at": "2026-01-01T00:00:02Z",
        "kind": "service",
        "id": uuid(1),
        "reference": "web",
        "text": "b",
        "place": "2",
    },
    {
        "at": "2026-01-01T00:00:01Z",
        "kind": "service",
        "id": uuid(1),
        "reference": "web",
        "text": "a",
        "place": "1",
    },
]


@pytest.fixture(autouse=True)
def timeline(fake: FakeAgent) -> None:
    fake.services = [service(1, "web")]
    fake.executions = [execution(5, uuid(3)) | {"id": RUN}]

    def tell(message: Message) -> Message:
        known = {"", "web", "gone", RUN}
        wanted = message.get("filter", {}).get("reference", "") or message.get("filter", {}).get("id", "")
        return {"entries": ENTRIES if wanted in known else []}

    fake.on["ListTimeline"] = tell


def test_json_is_an_object_a_line(cli: Cli) -> None:
    for words in (["--json"], ["-o", "json"]):
        lines = cli("events", "--no-follow", *words).out.splitlines()
        assert [json.loads(line) for line in lines] == ENTRIES[::-1]


def test_yaml_is_a_document_each(cli: Cli) -> None:
    assert list(yaml.safe_load_all(cli("events", "--no-follow", "-o", "yaml").out)) == ENTRIES[::-1]


def test_a_table_is_a_line_each(cli: Cli) -> None:
    assert [line[-6:] for line in cli("events", "--no-follow", "-o", "table").out.splitlines()] == [
        "web: a",
        "web: b",
    ]


def test_what_may_be_named(cli: Cli, fake: FakeAgent) -> None:
    assert len(cli("events", "web", "--no-follow").out.splitlines()) == 2
    assert cli("events", RUN[:8], "--no-follow").code == 0
    assert fake.asked[-1][1]["filter"]["id"] == RUN
    assert len(cli("events", "gone", "--no-follow").out.splitlines()) == 2, "a service that was deleted"
    told = cli("events", "wbe")
    assert told.code == 2, "and it does not wait for ever"
    assert "Did you mean 'web'?" in told.err
