"""More than a hundred objects, page after page, while objects come and go: what a user's `for` loop sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.agents import await_execution, await_gone, ids, new
from tests.conformance.conftest import Agent, Commands, driver_of, running_agent
from tests.conformance.environments import PYTHON_1_2
from tests.conformance.sdk import Driver, Json, Sdk
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(240)]

MANY = 130
KINDS = (
    ("ListTasks", "GetTask", "DeleteTask", "tasks", {"command": ":"}),
    ("ListServices", "GetService", "DeleteService", "services", {"commands": {"start": "true"}}),
)


@pytest.mark.parametrize(("listing", "get", "delete", "section", "entry"), KINDS, ids=["tasks", "services"])
def test_pages_are_stable_while_objects_come_and_go(
    sdk: Sdk, listing: str, get: str, delete: str, section: str, entry: Json
) -> None:
    """What is there all the time is seen exactly once, and the loop ends; the query of the 0.x SDKs wins."""
    references = [new(f"page{number:03}") for number in range(MANY)]
    created = apply(sdk, section, references, entry)
    mine = set(created)
    with sdk.list(listing, {"pagination": {"pageSize": 30}}) as listed:
        seen: list[str] = []
        while not mine & set(seen):
            seen += ids(listed.ask(10).result())
        early, late = next(id_ for id_ in seen if id_ in mine), created[-1]
        for id_ in (early, late):
            sdk.call(delete, {"id": id_})
            await_gone(sdk, get, id_)
        newer = apply(sdk, section, [new("later") for _ in range(3)], entry)
        seen += ids(listed.rest())
    assert len(seen) == len(set(seen)), "nothing twice"
    assert [id_ for id_ in seen if id_ in mine] == [id_ for id_ in created if id_ != late], "oldest first"
    assert set(newer) <= set(seen), "what comes meanwhile is the newest, and so at the end"
    for id_ in {*mine, *newer} - {early, late}:
        sdk.call(delete, {"id": id_})


def test_a_page_has_25_items_and_the_last_no_token(sdk: Sdk) -> None:
    """The default, the most, and how a client knows that it has all."""
    references = [new("few") for _ in range(26)]
    apply(sdk, "tasks", references, {"command": ":"})
    wanted: Json = {"filter": {"references": references[:25]}}
    if sdk.connect:
        pages = [sdk.call("ListTasks", asked) for asked in ({}, wanted, {"pagination": {"pageSize": 100}})]
        assert [len(page["tasks"]) >= 25 for page in pages] == [True] * 3
        assert (len(pages[0]["tasks"]), len(pages[1]["tasks"])) == (25, 25)
        assert pages[0]["pagination"]["nextToken"]
        assert "nextToken" not in pages[1].get("pagination", {})
    with sdk.list("ListTasks", wanted) as listed:
        assert len(listed.rest()) == 25
    error = sdk.refused("ListTasks", {"pagination": {"token": "made up"}})
    assert error.code == "invalid_argument"


def apply(sdk: Sdk, section: str, references: list[str], entry: Json) -> list[str]:
    """Make so many by a file; their ids, oldest first."""
    file = {section: {reference: {"name": reference, **entry} for reference in references}}
    sdk.call("UpsertAutomationsFile", {"automationsFile": file})
    listing = "ListTasks" if section == "tasks" else "ListServices"
    with sdk.list(listing, {"pagination": {"pageSize": 100}}) as listed:
        return [item["id"] for item in listed.rest() if item["metadata"]["reference"] in set(references)]


# ---------------------------------------------------------------- executions


@pytest.fixture(scope="module")
def busy() -> Iterator[Agent]:
    """An agent whose executions are this module's."""
    with running_agent() as one:
        yield one


@pytest.fixture(scope="module")
def ended(busy: Agent, drivers: dict[str, Driver], commands: Commands) -> tuple[str, list[str]]:
    """A task and 110 executions of it that have ended, newest first."""
    sdk = busy.known_to(PYTHON_1_2.name, driver_of(PYTHON_1_2, commands, drivers))
    task = sdk.call(
        "CreateTask", {"metadata": {"reference": new("many"), "name": "M"}, "spec": {"command": ":"}}
    )
    id_ = task["task"]["id"]
    made: list[str] = []
    for _ in range(11):
        asked = [sdk.ask("StartTask", {"id": id_}) for _ in range(10)]
        made += [pending.result()["taskExecution"]["id"] for pending in asked]
        for each in made[-10:]:
            await_execution(sdk, each, "SUCCEEDED")
    with sdk.list("ListTaskExecutions", {"filter": {"taskIds": [id_]}}) as listed:
        newest_first = ids(listed.rest())
    assert sorted(newest_first) == sorted(made)
    return id_, newest_first


@pytest.mark.parametrize("prefix", ["", "/api"], ids=["/", "/api"])
def test_executions_come_newest_first(
    driver: tuple[str, Driver], prefix: str, busy: Agent, ended: tuple[str, list[str]]
) -> None:
    """What starts while they are listed moves nothing."""
    sdk = busy.known_to(*driver, prefix)
    task, known = ended
    wanted: Json = {"filter": {"taskIds": [task]}, "pagination": {"pageSize": 40}}
    with sdk.list("ListTaskExecutions", wanted) as listed:
        seen = ids(listed.ask(10).result())
        newer = sdk.call("StartTask", {"id": task})["taskExecution"]["id"]
        await_execution(sdk, newer, "SUCCEEDED")
        seen += ids(listed.rest())
    assert [id_ for id_ in seen if id_ in set(known)] == known
    assert len(seen) == len(set(seen))
    assert newer not in seen
    wait_until(lambda: sdk.call("GetTaskExecution", {"id": newer}), 5, "it is there all the same")
