"""`--env` and `--env-file`: what is read, what is refused with its place, and what a file's scripts want."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner_agent.cli.environs import given, wanted
from runner_agent.cli.exits import Quit
from runner_agent.control.automations import read_automations

CALLER = {"TOKEN": "t", "EMPTY": ""}


def read(text: bytes, tmp_path: Path, *env: str) -> tuple[dict[str, str], list[str]]:
    """The variables, and what was told."""
    path = tmp_path / "f.env"
    path.write_bytes(text)
    told: list[str] = []
    return given(env, [path], CALLER, lambda line: told.append(line.removeprefix(str(path)))), told


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"A=1", {"A": "1"}),
        (b"A=", {"A": ""}),
        (b"A=b=c#d", {"A": "b=c#d"}),
        (b"  A= b ", {"A": " b "}),
        (b"# A=1", {}),
        (b"  # A=1\n\n \t\n", {}),
        (b"A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        (b"\xef\xbb\xbfA=1", {"A": "1"}),
        (b"A=1\nA=2", {"A": "2"}),
        (b"TOKEN", {"TOKEN": "t"}),
        (b"EMPTY", {"EMPTY": ""}),
        (b"a-b.c=1", {"a-b.c": "1"}),
        ("A=ä€".encode(), {"A": "ä€"}),
    ],
)
def test_lines_are_read_as_docker_reads_them(line: bytes, expected: dict[str, str], tmp_path: Path) -> None:
    assert read(line, tmp_path) == (expected, [])


def test_quotes_belong_to_the_value_and_that_is_told(tmp_path: Path) -> None:
    found, told = read(b"A=1\nB=\"x y\"\nC='z'\nD=it's", tmp_path)
    assert found == {"A": "1", "B": '"x y"', "C": "'z'", "D": "it's"}
    assert [line.partition(": ")[0] for line in told] == [":2", ":3"]


def test_what_the_caller_does_not_have_is_told_and_left_out(tmp_path: Path) -> None:
    found, told = read(b"NOPE\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n", tmp_path)
    assert found == {}
    assert told[0].startswith(":1: NOPE is not set here")
    assert "MIIE" not in told[1], "a line of a key, not a name"


def test_env_wins_over_files_and_the_later_one_wins(tmp_path: Path) -> None:
    assert read(b"A=file\nB=file", tmp_path, "A=1", "A=2", "TOKEN") == (
        {"A": "2", "B": "file", "TOKEN": "t"},
        [],
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"=v", ":1: there is no name"),
        (b"A=1\nexport B=secret", ":2: write NAME=VALUE, without `export`"),
        (b"A=1\n\nmy name=secret", ":3: the name of a variable has no blanks"),
        (b"GITPOD_OUTPUT=secret", ":1: GITPOD_OUTPUT is set by the agent"),
        (b"A=secret\xff", ":1: is not UTF-8"),
        (b"A=sec\0ret", ":1: A holds a NUL byte"),
    ],
)
def test_faults_name_file_and_line_and_no_value(text: bytes, fault: str, tmp_path: Path) -> None:
    with pytest.raises(Quit) as raised:
        read(text, tmp_path)
    assert raised.value.code == 2
    assert str(raised.value).removeprefix(str(tmp_path / "f.env")).startswith(fault)
    assert "secret" not in str(raised.value)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "f"
    path.write_text("=1\nA B=1\n")
    with pytest.raises(Quit, match="--env: there is no name"):
        given(["=x"], [path, tmp_path / "none", tmp_path], CALLER, told.append)
    assert len(told) == 4
    assert any("none: cannot be read: no such file" in line for line in told)
    assert any("is a directory" in line for line in told)


@pytest.mark.parametrize(
    ("argument", "fault"),
    [
        ("A=\udcff", "--env: the value of A is not UTF-8"),
        ("BROKEN", "--env: the value of BROKEN is not UTF-8"),
        ("\udcff=1", "--env: the name '\\udcff' is not UTF-8"),
        ("\udcff", "--env: the name '\\udcff' is not UTF-8"),
    ],
)
def test_what_is_no_text_is_refused_whoever_has_written_it(argument: str, fault: str) -> None:
    with pytest.raises(Quit) as raised:
        given([argument], [], {**CALLER, "BROKEN": "\udcff"}, print)
    assert str(raised.value) == fault


FILE = """
services:
  web:
    name: web
    commands:
      start: PORT=1 serve --url "$DATABASE_URL" --port $PORT --home $HOME ${TOKEN:-none}
      ready: test -n "$READY_KEY"
  box:
    name: box
    runsOn: {docker: {image: x, environment: [INSIDE=1, ALSO]}}
    commands: {start: 'echo $INSIDE $ALSO'}
tasks:
  t:
    name: t
    command: |
      for EACH in 1 2; do echo $EACH; done
      read -r LINE_READ < f; echo $LINE_READ $CONFIGURED $GITPOD_OUTPUT $NOT_THERE
"""


def test_what_a_file_wants_of_its_caller() -> None:
    names = (
        "DATABASE_URL PORT HOME TOKEN READY_KEY EACH LINE_READ CONFIGURED GITPOD_OUTPUT UNUSED INSIDE ALSO"
    )
    file = read_automations("a.yaml", FILE.encode())
    assert wanted(file, dict.fromkeys(names.split(), "x"), {"CONFIGURED"}) == [
        "DATABASE_URL",
        "TOKEN",
        "READY_KEY",
    ]
    assert wanted(file, {}, ()) == []
