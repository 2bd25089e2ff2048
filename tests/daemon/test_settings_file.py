"""The configuration file is as strict as automations files: nothing is turned into something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner_agent.daemon.settings import ServeOptions, Settings, load
from runner_agent.model.errors import InvalidArgument


def loaded(tmp_path: Path, text: str | bytes, **environ: str) -> Settings:
    """With this file."""
    config = tmp_path / "config.yaml"
    config.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(ServeOptions(workspace=tmp_path, config=config), {"HOME": "/h", **environ}, 1000)


def refused(tmp_path: Path, text: str | bytes) -> list[str]:
    """All that is told of it, less the path of the file."""
    with pytest.raises(InvalidArgument) as caught:
        loaded(tmp_path, text)
    return [str(one).replace(f"{tmp_path}/", "") for one in caught.value.violations]


@pytest.mark.parametrize(
    "value",
    [
        "true",
        "off",
        "1.10",
        "0644",
        "12:30",
        "0x1F",
        "null",
        "~",
        "8080",
        "2024-01-01",
        ".inf",
        "1_000",
    ],
)
def test_what_yaml_takes_for_something_else_is_to_be_quoted(tmp_path: Path, value: str) -> None:
    """With its place, and the cure, which works."""
    (told,) = refused(tmp_path, f"environment:\n  A: ok\n  V: {value}\n")
    assert told.startswith("config.yaml:3:6: environment.V: must be text, not ")
    assert told.endswith(f'; write it in quotes: "{value}"')
    assert loaded(tmp_path, f'environment:\n  V: "{value}"\n').environment == {"V": value}
    if value not in {"null", "~"}:
        assert refused(tmp_path, f"shell: {value}")[0].startswith("config.yaml:1:8: shell: must be text")


def test_all_that_is_wrong_in_a_map_is_told_at_once(tmp_path: Path) -> None:
    told = refused(
        tmp_path, "environment:\n  A: true\n  B: [x]\n  C: {d: e}\n  D:\n  A: x\n  1: y\nlog_cap: x\n"
    )
    assert [one.partition(": ")[0] for one in told] == [
        *("config.yaml:2:6", "config.yaml:3:6", "config.yaml:4:6", "config.yaml:5:5", "config.yaml:7:3"),
        "config.yaml:8:10",
    ]


def test_environment_as_a_list(tmp_path: Path) -> None:
    """As Compose has it; a name alone would be a variable of the agent's own."""
    text = "environment:\n- V_X=1\n- 'Y=a, b=c'\n- Z=\n- W=true\n"
    assert loaded(tmp_path, text).environment == {"V_X": "1", "Y": "a, b=c", "Z": "", "W": "true"}
    assert refused(tmp_path, "environment: [A]") == [
        "config.yaml:1:15: environment[0]: must be NAME=VALUE, not the text 'A'; give the value here"
    ]
    assert "environment[0]: must be text, not a map" in refused(tmp_path, "environment: [A: b]")[0]
    assert loaded(tmp_path, "environment:\n# A: b\n").environment == {}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("65536", 65536),
        ("64K", 65536),
        ("64M", 64 << 20),
        ("1G", 1 << 30),
        ("2GiB", 2 << 30),
        ("'70000'", 70000),
    ],
)
def test_sizes(tmp_path: Path, text: str, size: int) -> None:
    assert loaded(tmp_path, f"log_cap: {text}").log_cap == size
    assert loaded(tmp_path, "", RUNNER_AGENT_LOG_CAP=text.strip("'")).log_cap == size


@pytest.mark.parametrize(
    "text", ["10", "65535", "63K", "-1", "0", "lots", "1.5G", "9" * 30, "true", '""', "[1]"]
)
def test_sizes_that_are_none(tmp_path: Path, text: str) -> None:
    """The least, and how they are written."""
    (told,) = refused(tmp_path, f"log_cap: {text}")
    assert told.startswith("config.yaml:1:10: log_cap: must be ")
    if text != "[1]":
        assert "at least 64K, such as 64M, 1G or a number of bytes" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("log_capp: 1G", "config.yaml:1:1: log_capp: is not a setting; did you mean log_cap?"),
        ("log-level: info", "config.yaml:1:1: log-level: is not a setting; did you mean log_level?"),
        ("shell: a\nshell: b", "config.yaml:2:1: shell: is given twice, first at "),
        ("executions_kept: 0644", "config.yaml:1:18: executions_kept: must be a whole number"),
        ("executions_kept: 1e3", "config.yaml:1:18: executions_kept: must be a whole number"),
        ("executions_age: 9999999h", "config.yaml:1:17: executions_age: must be 100 years at most"),
        ("service_stop_grace: 12:30", "config.yaml:1:21: service_stop_grace: must be a duration"),
        ("service_stop_grace: -1", "config.yaml:1:21: service_stop_grace: must be a duration"),
        ("prebuild: perhaps", "config.yaml:1:11: prebuild: must be true or false"),
        ("listen: {a: b}", "config.yaml:1:9: listen: must be a list, not a map"),
        (
            "listen: [8080]",
            "config.yaml:1:9: listen: cannot listen on '8080': give unix:PATH or tcp:HOST:PORT",
        ),
        ("environment: x", "config.yaml:1:14: environment: must be NAME=VALUE"),
        ("run_limits: {pids_max: 0400}", "config.yaml:1:13: run_limits: pids_max must be a whole number"),
        (
            "devcontainer:",
            "config.yaml:1:14: devcontainer: must have a value, not nothing; remove it or give one",
        ),
        ("log_cap: null", "config.yaml:1:10: log_cap: must have a value, not nothing; remove it or give one"),
        ("service_stop_grace: ~", "config.yaml:1:21: service_stop_grace: must have a value"),
        ("executions_kept:", "config.yaml:1:17: executions_kept: must have a value"),
        ("token:", "config.yaml:1:7: token: must have a value, not nothing; remove it or give one"),
        ("run_limits: {pids_max: ~}", "config.yaml:1:24: run_limits.pids_max: must have a value"),
        ("secrets: {user: ~}", "config.yaml:1:17: secrets.user: must have a value"),
        ("listen: [~]", "config.yaml:1:10: listen[0]: must have a value"),
        ("fire: 10", "config.yaml:1:7: fire: '10' is not an event that can be fired; events are "),
        ("fire: [10]", "config.yaml:1:7: fire: '10' is not an event that can be fired; events are "),
        ("log_level: off", "config.yaml:1:12: log_level: must be one of debug, info, warning, error"),
        ("environment: [A=x, B=y, A=z]", "config.yaml:1:25: environment[2]: A must be given once"),
        ("environment: 'A=x,A=y'", "config.yaml:1:14: environment: 'A' is given twice; remove one"),
        ("state_dir: ''", "config.yaml:1:12: state_dir: must name a path, not nothing"),
        ("workspace: ''", "config.yaml:1:12: workspace: must name a path, not nothing"),
        ("automations: ''", "config.yaml:1:14: automations: must name a path, not nothing"),
        ("- a", "config.yaml:1:1: must be a map of settings, found a list"),
        ("environment:\n\tA: b", "config.yaml:2:1: not YAML"),
        ("shell: *a", "config.yaml:1:8: *a has no anchor"),
        ("shell: !!python/name:os.system x", "config.yaml:1:8: the tag"),
        ("a: b\n---\nc: d", "config.yaml:2:1: a second document begins here; a file holds one"),
        (b"shell: \xff", "config.yaml:1:1: not UTF-8"),
        ("x" * 2_000_000, "config.yaml: cannot be read (it is larger than 1 MiB)"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert any(one.startswith(told) for one in refused(tmp_path, text)), refused(tmp_path, text)


def test_a_secret_is_not_repeated(tmp_path: Path) -> None:
    """It may be in the wrong place, or of the wrong kind."""
    for text in (
        "token: 123456789",
        "secret_environment: {A: 123456789}",
        "secret_environment: {A: [123456789]}",
    ):
        assert "123456789" not in refused(tmp_path, text)[0]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~", "{}", "\ufefflog_level: info"])
def test_what_says_nothing_is_right(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).log_level == "info"


def test_anchors(tmp_path: Path) -> None:
    text = 'environment: {A: &a "1", B: *a}'
    assert loaded(tmp_path, text).environment == {"A": "1", "B": "1"}


def test_what_is_no_file(tmp_path: Path) -> None:
    """Told at once; a FIFO without a writer is not waited for."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(InvalidArgument, match=r"it is no file.*--config"):
            load(ServeOptions(workspace=tmp_path, config=path), {"HOME": "/h"}, 1000)
    with pytest.raises(InvalidArgument, match="No such file"):
        load(ServeOptions(workspace=tmp_path, config=tmp_path / "absent"), {"HOME": "/h"}, 1000)
    assert load(ServeOptions(workspace=tmp_path, config=Path(os.devnull)), {"HOME": "/h"}, 1000).shell == ""


@pytest.mark.parametrize("text", ["=1", "A", "A=1,,B=2", "A=1,B"])
def test_an_environment_by_a_variable(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidArgument, match="RUNNER_AGENT_ENVIRONMENT"):
        loaded(tmp_path, "", RUNNER_AGENT_ENVIRONMENT=text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a":' * 100_000, "must be NAME=VALUE, several parted by commas, or JSON"),
        ('{"A": ' + "9" * 5_000 + "}", "must be NAME=VALUE, several parted by commas, or JSON"),
        ('{"A": "b", "A": "c"}', "'A' is given twice; remove one"),
        ('{"A": "\\ud800"}', "'A' holds half a surrogate pair, which is no text; remove it"),
        ('{"\\udfff": "a"}', "holds half a surrogate pair, which is no text; remove it"),
        ("A=x,B=y, A=z", "'A' is given twice; remove one"),
    ],
)
def test_an_environment_as_text_that_is_none(tmp_path: Path, text: str, told: str) -> None:
    """In the file as in a variable; every run would fail for it, or the agent."""
    assert told in refused(tmp_path, f"environment: '{text}'")[0]
    with pytest.raises(InvalidArgument, match="RUNNER_AGENT_ENVIRONMENT") as caught:
        loaded(tmp_path, "", RUNNER_AGENT_ENVIRONMENT=text)
    assert told in str(caught.value)


def test_bytes_that_are_no_utf_8_are_passed_on(tmp_path: Path) -> None:
    """A run can have them, if the agent's own environment has."""
    assert loaded(tmp_path, "", RUNNER_AGENT_ENVIRONMENT="A=\udcff").environment == {"A": "\udcff"}


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "state_dir: /s", RUNNER_AGENT_STATE_DIR="", RUNNER_AGENT_CONFIG="")
    assert settings.state_dir == Path("/s")
