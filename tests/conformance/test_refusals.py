"""Every class of error, as the exception that the SDK's user catches (rules 1.1 to 1.3)."""

from __future__ import annotations

import pytest

from tests.conformance.agents import await_phase, new
from tests.conformance.conftest import running_agent
from tests.conformance.refusals import ABSENT, FOREIGN, ROWS, STATUSES, Row, check
from tests.conformance.sdk import Driver, Json, Refused, Sdk

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(240)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.name))
def test_it_is_told_why(sdk: Sdk, row: Row) -> None:
    """Code, status and class, and the words that say which thing; nothing is stored."""
    if row.json_only and sdk.connect:
        # Generated messages cannot even hold such a value.
        assert sdk.refused(row.method, row.body).type == "ParseError"
        return
    error = sdk.with_(**row.settings).refused(row.method, row.body)
    check(sdk, error, row.code, row.told)
    assert [word for word in row.words if word not in error.message] == [], error.message


def test_nothing_refused_was_stored(sdk: Sdk) -> None:
    """Rule 1.3, whichever of the rows came before."""
    for row in ROWS:
        # Those with settings change nothing anyhow, and ten wrong tokens in a row are brushed off.
        if not (row.settings or (row.json_only and sdk.connect)):
            sdk.refused(row.method, row.body)
    for method in ("ListServices", "ListTasks"):
        with sdk.list(
            method, {"filter": {"references": ["never-made", "never-a", "never-b", "a"]}}
        ) as listed:
            assert listed.rest() == []


def test_a_reference_is_taken_once(sdk: Sdk) -> None:
    """Rule 1.2: over services and tasks alike."""
    metadata = {"reference": new("taken"), "name": "Taken"}
    sdk.call("CreateTask", {"metadata": metadata, "spec": {"command": ":"}})
    again: tuple[tuple[str, Json], ...] = (
        ("CreateTask", {"command": ":"}),
        ("CreateService", {"commands": {"start": ":"}}),
    )
    for method, spec in again:
        error = sdk.refused(method, {"metadata": metadata, "spec": spec})
        check(sdk, error, "already_exists", 409)
        assert metadata["reference"] in error.message


def test_a_running_services_spec_stays(sdk: Sdk) -> None:
    """Rules 3.11, 3.12."""
    spec = {"commands": {"start": "sleep 1000"}, "desiredPhase": "SERVICE_PHASE_RUNNING"}
    sent = {"metadata": {"reference": new("held"), "name": "Held"}, "spec": spec}
    id_ = sdk.call("CreateService", sent)["service"]["id"]
    await_phase(sdk, id_, "RUNNING")
    for change in ({"spec": {"commands": {"start": ":"}}}, {"status": {"phase": "SERVICE_PHASE_STOPPED"}}):
        error = sdk.refused("UpdateService", {"id": id_, **change})
        check(sdk, error, "failed_precondition", 400)
    sdk.call("DeleteService", {"id": id_, "force": True})


def test_a_needed_task_stays(sdk: Sdk) -> None:
    """Rule 1.6: refused, naming who needs it."""

    def create(name: str, *needs: str) -> Json:
        metadata = {"reference": new(name), "name": name}
        sent: Json = {"metadata": metadata, "spec": {"command": ":"}, "dependsOn": list(needs)}
        task: Json = sdk.call("CreateTask", sent)["task"]
        return task

    needed = create("needed")
    needing = create("needing", needed["id"])
    error = sdk.refused("DeleteTask", {"id": needed["id"]})
    check(sdk, error, "failed_precondition", 400)
    assert needing["metadata"]["reference"] in error.message
    cycle = sdk.refused("UpdateTask", {"id": needed["id"], "dependsOn": [needing["id"]]})
    check(sdk, cycle, "invalid_argument", 400)


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ({"environmentId": FOREIGN}, "not_found"),
        ({"environmentId": "here"}, "not_found"),
        ({"organization": True}, "invalid_argument"),
        (
            {"resourceTypeFilters": [{"resourceType": "RESOURCE_TYPE_SERVICE", "resourceIds": [ABSENT]}]},
            "invalid_argument",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "-".join(value),
)
def test_a_watch_is_refused_before_it_begins(sdk: Sdk, scope: Json, code: str) -> None:
    """Trap 2: after the headers a reader of lines would only see an empty answer."""
    with pytest.raises(Refused) as raised, sdk.watch(scope) as watch:
        watch.next()
    check(sdk, raised.value, code, STATUSES[code])


def test_guesses_are_slowed(driver: tuple[str, Driver]) -> None:
    """Too many wrong tokens are resource_exhausted, not asked again; the right one still passes."""
    with running_agent() as agent:
        sdk = agent.known_to(*driver)
        asked = [sdk.with_(token=f"guess-{number}").ask("ListTasks") for number in range(40)]
        codes: list[str | None] = []
        for pending in asked:
            with pytest.raises(Refused) as raised:
                pending.result()
            check(sdk, raised.value, str(raised.value.code), STATUSES[str(raised.value.code)])
            codes.append(raised.value.code)
        assert set(codes) == {"unauthenticated", "resource_exhausted"}
        assert codes.count("unauthenticated") < 30
        with sdk.list("ListTasks") as listed:
            assert listed.rest() == []
