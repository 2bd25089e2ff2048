"""What labels and inspection say of a dev container, merged as the dev container specification has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner_agent.executors.devcontainer_place import (
    METADATA,
    DevContainer,
    Selector,
    of_container,
    of_inspection,
)

WORKSPACE = Path("/home/me/project")
AGENT = {"USER": "me", "EMPTY": "", "TOKEN": "abc"}


def inspected(
    *,
    metadata: object = None,
    labels: dict[str, str] | None = None,
    mounts: tuple[tuple[str, str], ...] = (),
    state: dict[str, object] | None = None,
    **config: object,
) -> DevContainer | None:
    label = {} if metadata is None else {METADATA: json.dumps(metadata)}
    told = {
        "Id": "0123456789abcdef",
        "Name": "/dev",
        "State": {"Running": True, "Pid": 77, "StartedAt": "2026-01-02T03:04:05Z", **(state or {})},
        "Config": {"User": "app", "WorkingDir": "/srv", "Env": ["PATH=/bin", "A=1=2"], **config}
        | {"Labels": {**label, **(labels or {})}},
        "Mounts": [{"Source": source, "Destination": target} for source, target in mounts],
    }
    return of_inspection(told, WORKSPACE, AGENT)


def found(**more: object) -> DevContainer:
    one = inspected(**more)  # type: ignore[arg-type]
    assert one is not None
    return one


def test_without_metadata_it_is_as_its_image_says() -> None:
    one = found()
    assert (one.user, one.folder, one.env, one.unset, one.path) == ("app", "/srv", {}, (), "/bin")
    assert (one.name, one.pid, one.called) == ("dev", 77, "the dev container dev")
    assert found(User="", WorkingDir="").folder == "/"
    assert found(User="").user == ""


def test_a_start_is_known_by_container_and_time() -> None:
    """Rule 6.3."""
    assert found().start == "0123456789abcdef@2026-01-02T03:04:05Z"
    assert found(state={"StartedAt": "later"}).start != found().start


@pytest.mark.parametrize(
    "state", [{"Running": False}, {"Pid": 0}, {"Running": True, "Restarting": True}, {"Paused": True}]
)
def test_what_does_not_run_is_none(state: dict[str, object]) -> None:
    assert inspected(state=state) is None


def test_the_last_entry_wins() -> None:
    one = found(
        metadata=[
            {"remoteUser": "first", "remoteEnv": {"X": "1", "Y": "1"}, "workspaceFolder": "/one"},
            {"id": "a feature"},
            {"remoteUser": "last", "remoteEnv": {"Y": "2"}},
        ]
    )
    assert (one.user, one.folder, dict(one.env)) == ("last", "/one", {"X": "1", "Y": "2"})


def test_the_label_may_hold_a_single_object_or_nonsense() -> None:
    assert found(metadata={"remoteUser": "dev"}).user == "dev"
    assert found(metadata="text").user == "app"
    assert found(labels={METADATA: "not JSON"}).user == "app"


def test_remote_environment_may_use_the_containers_own_and_take_from_it() -> None:
    env = {
        "PATH": "/opt/bin:${containerEnv:PATH}",
        "B": "${containerEnv:A}",
        "C": "${containerEnv:NONE:other}",
        "D": "${localEnv:HOME}",
        "E": None,
    }
    one = found(metadata=[{"remoteEnv": env}])
    assert dict(one.env) == {"PATH": "/opt/bin:/bin", "B": "1=2", "C": "other", "D": ""}
    assert (one.unset, one.path) == (("E",), "/opt/bin:/bin")


def test_variables_of_the_configuration_are_replaced() -> None:
    """As the dev container specification has them; what is none of them stays as it is."""
    env = {
        "PYTHONPATH": "${containerWorkspaceFolder}/src:${containerWorkspaceFolder}/lib",
        "BASE": "${containerWorkspaceFolderBasename}-${localWorkspaceFolderBasename}",
        "LOCAL": "${localWorkspaceFolder}",
        "WHO": "${localEnv:USER}${env:EMPTY}${localEnv:EMPTY:default}",
        "URL": "${localEnv:NOBODY:http}//${containerEnv:NOBODY:8080}${containerEnv:NOBODY}",
        "NONE": "$HOME ${HOME} ${command:x} $${localEnv:USER} ${}",
    }
    one = found(metadata=[{"remoteEnv": env}], mounts=(("/home/me/project", "/workspaces/it"),))
    assert dict(one.env) == {
        "PYTHONPATH": "/workspaces/it/src:/workspaces/it/lib",
        "BASE": "it-project",
        "LOCAL": "/home/me/project",
        "WHO": "me",
        "URL": "http//8080",
        "NONE": "$HOME ${HOME} ${command:x} $me ${}",
    }
    assert (one.refusal, one.warnings) == ("", ())


def test_variables_in_user_and_folder_are_replaced() -> None:
    labels = {"devcontainer.local_folder": "/data/repo"}
    one = found(
        metadata=[
            {
                "remoteUser": "${localEnv:USER}",
                "workspaceFolder": "/w/${localWorkspaceFolderBasename}",
                "remoteEnv": {"AT": "${containerWorkspaceFolder}"},
            }
        ],
        labels=labels,
    )
    assert (one.user, one.folder, dict(one.env)) == ("me", "/w/repo", {"AT": "/w/repo"})


def test_the_id_of_a_dev_container_is_that_of_its_cli() -> None:
    """Of the labels it is found by, as that specification computes it."""
    metadata = [{"remoteEnv": {"ID": "${devcontainerId}"}}]
    labels = {"devcontainer.local_folder": "/w/é", "devcontainer.config_file": "/w/é/.devcontainer.json"}
    assert (
        found(metadata=metadata, labels=labels).env["ID"]
        == "1ul0pf41np96i8vpc9dgviduv3k7vhtscub0hbs9nh7ugt84fa62"
    )
    assert len(found(metadata=metadata, labels={"devcontainer.local_folder": "/w"}).env["ID"]) == 52


def test_what_is_not_known_is_left_out_and_told() -> None:
    env = {"ID": "x-${devcontainerId}", "KEY": "a${localEnv:NOBODY}b", "X": "${localEnv}"}
    one = found(metadata=[{"remoteEnv": env}])
    assert dict(one.env) == {"KEY": "ab"}
    assert one.refusal == ""
    told = "\n".join(one.warnings)
    assert "remoteEnv.ID has ${devcontainerId}, which is not known: the container has no label" in told
    assert "ID is left out" in told
    assert "remoteEnv.KEY has ${localEnv:NOBODY}, which is not known: the agent's environment" in told
    assert "remoteEnv.X has ${localEnv}, which is not known: it names no variable; X is left out" in told


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("remoteUser", "${localEnv:NOBODY}"),
        ("remoteUser", "u${devcontainerId}"),
        ("workspaceFolder", "/w/${localEnv:NOBODY}"),
        ("workspaceFolder", "${containerWorkspaceFolder}/x"),
    ],
)
def test_nothing_runs_as_a_user_or_in_a_folder_that_is_not_known(name: str, text: str) -> None:
    one = found(metadata=[{name: text}])
    assert f"{name} has ${{" in one.refusal
    assert "write the value itself" in one.refusal
    assert ("give the agent that variable" in one.refusal) is ("localEnv" in text)


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (7, "7"), (1.5, "1.5"), ("${localEnv:USER}", "me")]
)
def test_a_value_that_is_written_without_quotes_is_what_is_written(value: object, text: str) -> None:
    """As the Dev Container CLI has it."""
    assert found(metadata=[{"remoteEnv": {"X": value}}]).env["X"] == text


def test_what_no_variable_can_hold_is_left_out_and_told() -> None:
    env: dict[str, object] = {
        "LIST": ["a"],
        "OBJECT": {},
        "NUL": "a\0b",
        "HALF": "\ud800",
        "A=B": "x",
        "": "x",
        "GOOD": "x",
    }
    one = found(metadata=[{"remoteEnv": env}])
    assert dict(one.env) == {"GOOD": "x"}
    told = "\n".join(one.warnings)
    assert "remoteEnv.LIST has a list or an object for its value, which is no text; LIST is left out" in told
    assert "remoteEnv.OBJECT has a list or an object" in told
    assert "remoteEnv.NUL has a NUL byte, which cannot be passed on; NUL is left out" in told
    assert "remoteEnv.HALF has half a surrogate pair, which is no text; HALF is left out" in told
    assert "remoteEnv.A=B has a name that no variable can have" in told
    assert len(one.warnings) == len(env) - 1


@pytest.mark.parametrize("name", ["remoteUser", "workspaceFolder"])
@pytest.mark.parametrize("value", [["a"], {"a": 1}, "/a\0b"])
def test_nothing_runs_where_user_or_folder_is_no_text(name: str, value: object) -> None:
    refusal = found(metadata=[{name: value}]).refusal
    assert refusal.startswith(f"devcontainer.json: {name} has a ")
    assert "write the value itself" in refusal
    assert found(metadata=[{"remoteUser": 1000}]).user == "1000"


def test_a_container_of_an_image_that_was_a_dev_container_is_not_one() -> None:
    told = {
        "Id": "1",
        "State": {"Running": True, "Pid": 7},
        "Config": {"User": "app", "Labels": {METADATA: '[{"remoteUser": "dev", "workspaceFolder": "/x"}]'}},
        "Mounts": [{"Source": str(WORKSPACE), "Destination": str(WORKSPACE)}],
    }
    plain = of_container(told, WORKSPACE)
    assert plain is not None
    assert (plain.user, plain.folder) == ("app", str(WORKSPACE))


def test_the_folder_is_where_the_workspace_is_mounted() -> None:
    mounts = (("/home", "/everything"), ("/home/me/project", "/workspaces/project"), ("/etc", "/x"))
    assert found(mounts=mounts).folder == "/workspaces/project"
    assert found(mounts=mounts[:1]).folder == "/everything/me/project"
    assert found(mounts=mounts[2:]).folder == "/srv"
    labels = {"devcontainer.local_folder": "/data/repo"}
    assert found(mounts=(("/data/repo", "/w"),), labels=labels).folder == "/w"


def test_a_selector_is_a_label_or_a_name() -> None:
    assert Selector("label=devcontainer.local_folder=/x").label == "devcontainer.local_folder=/x"
    assert Selector("my-container").label is None
