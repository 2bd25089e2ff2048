"""What a run is given, and what stays hidden afterwards (rules 5.2, 5.6, 5.7)."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from runner_agent.executors.base import RunRequest
from runner_agent.model.errors import CannotStart
from runner_agent.model.ids import Reference, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.specs import Anywhere
from runner_agent.secrets.folders import Folder, Found, Scope
from runner_agent.secrets.given import Given, RunSecrets
from runner_agent.secrets.known import VALUES_KEPT, WITHHELD, KnownSecrets
from runner_agent.secrets.stores import SecretStores

if TYPE_CHECKING:
    from collections.abc import Callable

ONE = "11111111-1111-4111-8111-111111111111"
TWO = "22222222-2222-4222-8222-222222222222"
LOST = "99999999-9999-4999-8999-999999999999"
VALUE = 'p@ss "word"/+ü'


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    tmp_path.chmod(0o700)
    return Folder(Scope.PROJECT, tmp_path)


def put(folder: Folder, secret_id: str, value: str) -> None:
    folder.place(secret_id).write_text(value)
    folder.place(secret_id).chmod(0o600)


async def test_rule_5_2_every_runs_secrets_stand_below_the_specs_own(folder: Folder) -> None:
    put(folder, ONE, "for all")
    put(folder, TWO, "the spec's own")
    secrets = RunSecrets(SecretStores([folder]), {"A": ONE, "B": ONE, "C": LOST})
    given = await secrets.given({"B": TWO}, overridden={"C"})
    assert given.values == {"A": "for all", "B": "the spec's own"}
    assert secrets.known.values() == ("for all", "the spec's own")


async def test_rule_5_6_all_that_is_missing_is_told_in_one_go(folder: Folder) -> None:
    put(folder, ONE, "a value that is there")
    secrets = RunSecrets(SecretStores([folder]))
    with pytest.raises(CannotStart) as refused:
        await secrets.given({"A": ONE, "B": LOST, "C": TWO})
    told = str(refused.value)
    assert f"variable B refers to secret {LOST}, and it is in none of the stores asked" in told
    assert f"variable C refers to secret {TWO}" in told
    assert str(folder.path) in told
    assert "a value that is there" not in told


async def test_rule_6_5_a_prebuild_does_without_the_users_secrets_that_every_run_is_given(
    tmp_path: Path,
) -> None:
    """A spec that names one itself fails: it cannot do without."""
    tmp_path.chmod(0o700)
    folder = Folder(Scope.USER, tmp_path)
    put(folder, ONE, "the user's own")
    secrets = RunSecrets(SecretStores([folder], user_scope_open=lambda: False), {"ALL": ONE})
    given = await secrets.given({})
    assert given.values == {}
    assert "out of reach of a prebuild" in given.left_out["ALL"]
    with pytest.raises(CannotStart, match=r"variable OWN refers to .* out of reach of a prebuild"):
        await secrets.given({"OWN": ONE})
    assert secrets.known.values() == ()


def raw(value: str) -> str:
    return value


def in_base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def in_base64_after_one(value: str) -> str:
    return base64.b64encode(f"x{value}y".encode()).decode()


def in_base64_after_two(value: str) -> str:
    return base64.b64encode(f"xx{value}y".encode()).decode()


def in_a_url(value: str) -> str:
    return quote(value, safe="")


def in_json(value: str) -> str:
    return json.dumps(value)


DISGUISES = (raw, in_base64, in_base64_after_one, in_base64_after_two, in_a_url, in_json)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_rule_5_6_no_output_shows_a_value_in_any_disguise(disguise: Callable[[str], str]) -> None:
    known = KnownSecrets()
    known.learn(ONE, VALUE)
    shown = known.redact(f"before {disguise(VALUE)} after")
    core = disguise(VALUE)[4:-4]
    assert core not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert known.redact("nothing of it") == "nothing of it"
    assert known.redact("") == ""


def test_rotated_values_stay_hidden_for_a_while() -> None:
    known = KnownSecrets()
    for number in range(VALUES_KEPT + 1):
        known.learn(ONE, f"value-number-{number}")
    known.learn(ONE.upper(), f"value-number-{VALUES_KEPT}")
    assert known.values() == tuple(f"value-number-{number}" for number in range(1, VALUES_KEPT + 1))
    assert "value-number-1" not in known.redact("it was value-number-1, was it?")


# --- after a restart of the agent


async def test_rule_5_6_what_was_given_before_a_restart_is_recalled_once(folder: Folder) -> None:
    put(folder, ONE, "given before")
    secrets = RunSecrets(SecretStores([folder]))
    asked: list[int] = []

    def ids() -> list[str]:
        asked.append(1)
        return [ONE]

    await secrets.recall(ids)
    await secrets.recall(ids)
    assert asked == [1]
    shown = secrets.redaction([ONE]).outputs({"key": "it is given before", "gone": ""})
    assert shown["gone"] == ""
    assert shown["key"].startswith("it is ")
    assert "given before" not in shown["key"]


async def test_outputs_are_withheld_where_nobody_can_tell(folder: Folder) -> None:
    secrets = RunSecrets(SecretStores([folder]))
    await secrets.recall(lambda: [LOST])
    redaction = secrets.redaction([LOST])
    assert redaction.outputs({"url": "http://x", "unset": ""}) == {"url": WITHHELD, "unset": ""}
    assert secrets.redaction().outputs({"url": "http://x"}) == {"url": "http://x"}
    put(folder, LOST, "there again")
    await secrets.given({"A": LOST})
    assert redaction.outputs({"url": "http://x"}) == {"url": "http://x"}


async def test_a_lost_secret_of_every_run_withholds_the_outputs_of_all(folder: Folder) -> None:
    secrets = RunSecrets(SecretStores([folder]), {"ALL": LOST})
    await secrets.recall(list[str])
    assert secrets.redaction().outputs({"url": "http://x"}) == {"url": WITHHELD}


# --- nothing says it by accident


def test_no_repr_holds_a_value() -> None:
    known = KnownSecrets()
    known.learn(ONE, VALUE)
    secrets = RunSecrets()
    secrets.known.learn(ONE, VALUE)
    path = Path("/none")
    request = RunRequest(
        run_id=RunId("r"),
        role=RunRole.TASK,
        reference=Reference("t"),
        script="true",
        runs_on=Anywhere(),
        env={"TOKEN": VALUE},
        log=path,
        output=path,
        secrets=(VALUE,),
    )
    things = (known, secrets, secrets.redaction([ONE]), Given({"A": VALUE}), Found(VALUE), request)
    for thing in things:
        assert VALUE not in repr(thing)
        assert VALUE not in str(thing)
    changed = dataclasses.replace(request, note="again")
    assert VALUE not in repr(changed)
    assert changed.secrets == (VALUE,)
