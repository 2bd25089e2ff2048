"""The file reader against a corpus: what is valid, and every fault of what is not (rules 2.1 to 2.6, 2.8)."""

import os
from pathlib import Path

import pytest

from runner_agent.control.automations import DEFAULTS, MAX_BYTES, find_default, read_automations, read_file
from runner_agent.control.automations_yaml import load_yaml, read_yaml
from runner_agent.control.documents import Listing, Malformed, Mapping, Node, Scalar
from runner_agent.control.durations import parse_duration
from runner_agent.control.file_errors import FileError, FileErrors
from runner_agent.model.errors import InvalidArgument
from runner_agent.model.ids import Reference
from runner_agent.model.phases import ServiceRole, Trigger
from runner_agent.model.specs import (
    Anywhere,
    AutomationsFile,
    InDocker,
    Launch,
    OnMachine,
    ServiceCommands,
    ServiceEntry,
    TaskEntry,
    TaskSpec,
)

FILES = Path(__file__).parent / "files"
VALID = sorted(FILES.glob("valid-*"))
INVALID = sorted(path for path in FILES.glob("invalid-*") if path.suffix != ".errors")
HOUR = 3600 * 1_000_000_000


def read(name: str) -> AutomationsFile:
    return read_automations(name, (FILES / name).read_bytes())


def faults(name: str, text: str, *, strict: bool = False) -> list[str]:
    with pytest.raises(FileErrors) as caught:
        read_automations(name, text.encode(), strict=strict)
    return [str(error) for error in caught.value.errors]


def one_task(**keys: str) -> str:
    return "tasks:\n  t:\n" + "".join(f"    {key}: {value}\n" for key, value in keys.items())


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.name)
def test_rule_2_5_every_fault_is_told_with_its_place(path: Path) -> None:
    with pytest.raises(FileErrors) as caught:
        read_automations(path.name, path.read_bytes())
    assert str(caught.value).splitlines() == Path(f"{path}.errors").read_text().splitlines()


@pytest.mark.parametrize("pure", [False, True], ids=["native", "pure"])
@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: " + "[" * 5_000, 1, 36),
        ("{a: " * 5_000, 1, 130),
        ("[\n" * 5_000, 34, 1),
        ("- " * 5_000 + "x", 1, 67),
        ("? " * 5_000 + "x", 1, 67),
    ],
    ids=["flow", "maps", "lines", "block", "keys"],
)
def test_the_limit_of_nesting_is_ours_whichever_version_the_parser_has(
    text: str, line: int, column: int, pure: bool
) -> None:
    """Newer parsers have one of their own, and look far enough ahead to come to it first."""
    with pytest.raises(Malformed, match=r"^nested more than 32 levels deep$") as caught:
        read_yaml(text, pure=pure)
    assert (caught.value.mark.line, caught.value.mark.column) == (line, column)


def test_plain_values_are_bounded_as_nodes_are() -> None:
    """What configuration files are read with: no RecursionError, no second document."""
    assert load_yaml("a: {b: [1, 2.5, yes, x]}") == {"a": {"b": [1, 2.5, True, "x"]}}
    for text, said in [
        ("a: " + "[" * 5_000, "line 1, column 36: nested more than 32 levels deep"),
        ("a: 1\n--- 2", "line 2, column 1: a second document begins here"),
        ("a: !!python/name:os.system x", "line 1, column 4: the tag"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("a: b: c", "line 1, column 5: not YAML"),
    ]:
        with pytest.raises(ValueError, match=said):
            load_yaml(text)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_rule_2_1_a_valid_file_is_read(path: Path) -> None:
    assert isinstance(read_automations(path.name, path.read_bytes()), AutomationsFile)


def test_rules_2_1_to_2_4_everything_a_file_may_hold() -> None:
    assert read("valid-full.yaml") == AutomationsFile(
        (
            ServiceEntry(
                Reference("web"),
                "Web server",
                Launch(
                    ServiceCommands(
                        "set -e\npython3 -m http.server 8080\n",
                        "curl -sf localhost:8080",
                        'kill "$(cat web.pid)"\n',
                    ),
                    InDocker("python:3.12", ("PORT=8080", "HOME")),
                    readiness_timeout=HOUR + HOUR // 2,
                ),
                "Serves the page.\nOn port 8080.\n",
                (Trigger.POST_DEVCONTAINER_START, Trigger.MANUAL),
                ServiceRole.EDITOR,
            ),
            ServiceEntry(
                Reference("db_1"),
                "Database",
                Launch(ServiceCommands("./db"), OnMachine(), readiness_timeout=1_500_000_000),
            ),
        ),
        (
            TaskEntry(
                Reference("build"),
                "Build",
                TaskSpec("make", prebuild_requires_success=True),
                "",
                (
                    Trigger.POST_ENVIRONMENT_START,
                    Trigger.PREBUILD,
                    Trigger.BEFORE_SNAPSHOT,
                    Trigger.POST_MACHINE_START,
                ),
                (Reference("install"), Reference("db_1")),
            ),
            TaskEntry(Reference("install"), "Install", TaskSpec("npm ci", Anywhere())),
        ),
    )


def test_rule_2_1_snake_case_says_the_same() -> None:
    file = read("valid-snake.yaml")
    assert file.services[0].triggered_by == (Trigger.MANUAL,)
    assert file.services[0].launch.runs_on == OnMachine()
    assert file.services[0].launch.readiness_timeout == 90_000_000_000
    assert file.tasks[0].depends_on == (Reference("web"),)
    assert file.tasks[0].spec.prebuild_requires_success


def test_rule_2_1_json_with_tabs_and_surrogate_pairs() -> None:
    file = read("valid-tabs.json")
    assert file.services[0].name == "Wéb 😀"
    assert file.services[0].launch.commands.start == "a/b"
    assert file.tasks[0].depends_on == (Reference("web"),)


def test_json_is_known_by_its_look_where_the_name_does_not_tell() -> None:
    data = (FILES / "valid-tabs.json").read_bytes()
    assert read_automations("<stdin>", data) == read_automations("x.json", data)
    assert read_automations("<stdin>", b"{tasks: {}}") == AutomationsFile()


def test_anchors_and_merge_keys_are_resolved_and_own_keys_win() -> None:
    one, two, three = read("valid-anchors.yaml").services
    assert two == ServiceEntry(Reference("two"), "Two", one.launch, triggered_by=one.triggered_by)
    assert three.launch.commands == ServiceCommands("serve --three", "probe")
    assert three.triggered_by == one.triggered_by


@pytest.mark.parametrize(
    "path", [p for p in (*VALID, *INVALID) if p.suffix == ".yaml"], ids=lambda path: path.name
)
def test_both_yaml_parsers_see_the_same(path: Path) -> None:
    """The C parser is there or not; the answer is the same, but for the words about broken syntax."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    assert parsed(text, pure=False) == parsed(text, pure=True)


def parsed(text: str, *, pure: bool) -> object:
    try:
        return shape(read_yaml(text, pure=pure))
    except Malformed as error:
        return error.mark.line


def shape(node: Node | None) -> object:
    """What it says and in which line: where in the line an absent value begins is a matter of taste."""
    match node:
        case None:
            return None
        case Scalar(mark=mark, sort=sort, text=text):
            return mark.line, sort, text
        case Listing(mark=mark, items=items):
            return mark.line, [shape(item) for item in items]
        case Mapping(mark=mark, pairs=pairs):
            return mark.line, [(shape(key), shape(value)) for key, value in pairs]


@pytest.mark.parametrize(
    "text", ["a: ]", 'a: "\\U00110000"', "'a", "{a", "%YAML 9.9\n--- x", "a: !x!y z", "- a\n b: c", "@"]
)
def test_broken_yaml_is_malformed_for_both_parsers(text: str) -> None:
    for pure in (True, False):
        with pytest.raises(Malformed, match="not YAML: ") as caught:
            read_yaml(text, pure=pure)
        assert caught.value.mark.line in {1, 2}


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0s", 0),
        ("90s", 90 * 10**9),
        ("1.5s", 1_500_000_000),
        ("0.000000001s", 1),
        ("5m", 300 * 10**9),
        ("1h30m", 5400 * 10**9),
        ("24h", 86_400 * 10**9),
        ("1h0m0.5s", 3600 * 10**9 + 500_000_000),
        ("", None),
        ("90", None),
        ("s", None),
        ("1.5m", None),
        ("-1s", None),
        ("5m1h", None),
        ("1s ", None),
        ("1.s", None),
        ("0.0000000001s", None),
        ("٩s", None),
        ("9" * 5000 + "s", None),
    ],
)
def test_rule_2_2_durations(text: str, nanoseconds: int | None) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(("text", "accepted"), [("86400s", True), ("24h", True), ("86400.000000001s", False)])
def test_rule_2_2_readiness_timeout_is_at_most_a_day(text: str, accepted: bool) -> None:
    file = f"services: {{w: {{name: W, commands: {{start: x}}, readinessTimeout: {text}}}}}"
    if accepted:
        assert read_automations("f", file.encode()).services[0].launch.readiness_timeout == 24 * HOUR
    else:
        assert faults("f", file) == [
            f"f:1:65: services.w.readinessTimeout: expected 0s to 86400s (a day), found the text '{text}'"
        ]


def test_strict_holds_to_the_triggers_of_the_published_descriptor() -> None:
    text = one_task(name="T", command="x", triggeredBy="[prebuild, beforeSnapshot, postMachineStart]")
    assert len(read_automations("f", text.encode()).tasks[0].triggered_by) == 3
    assert faults("f", text, strict=True) == [
        "f:5:29: tasks.t.triggeredBy[1]: beforeSnapshot: the published API does not accept it in a file",
        "f:5:45: tasks.t.triggeredBy[2]: postMachineStart: the published API does not accept it in a file",
    ]


def test_rule_2_6_references_of_the_environment_may_be_depended_on() -> None:
    text = one_task(name="T", command="x", dependsOn="[db]")
    assert faults("f", text) == [
        "f:5:17: tasks.t.dependsOn[0]: unknown reference db; no service or task goes by it"
    ]
    assert read_automations("f", text.encode(), known=["db"]).tasks[0].depends_on == (Reference("db"),)


def test_rule_2_6_all_cycles_are_named() -> None:
    pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]
    text = "tasks:\n" + "".join(
        f"  {one}: {{name: N, command: x, dependsOn: [{two}]}}\n" for one, two in pairs
    )
    assert [line.partition("circle: ")[2] for line in faults("f", text)] == [
        "a -> b -> a; remove one of them",
        "c -> d -> c; remove one of them",
    ]


def test_a_fault_under_an_anchor_is_told_once_a_path() -> None:
    text = "tasks:\n  a: &a {name: A, command: 1}\n  b: *a\n"
    assert [line.split(": ")[1] for line in faults("f", text)] == ["tasks.a.command", "tasks.b.command"]


def test_file_errors_are_invalid_arguments_with_their_paths() -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_automations("f", b"tasks: {t: {name: 1, command: x}}")
    assert [violation.path for violation in caught.value.violations] == ["tasks.t.name"]


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 4 * MAX_BYTES])
def test_a_file_that_is_too_large_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * size)
    with pytest.raises(FileErrors, match="larger than 1024 KiB"):
        read_file(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.yaml", "no such file; check the path"),
        (".", "is a directory; give the file in it"),
        ("loop.yaml", "cannot be read: Too many levels of symbolic links"),
        ("nul\0.yaml", "cannot be read: embedded null byte"),
        ("file/below.yaml", "cannot be read: Not a directory"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "file").touch()
    path = tmp_path / name
    with pytest.raises(FileErrors) as caught:
        read_file(path)
    assert caught.value.errors == (FileError(str(path), 0, 0, "", message),)
    assert str(caught.value) == f"{path}: {message}"


def test_a_pipe_is_read_as_a_file(tmp_path: Path) -> None:
    """As `update <(generate)` of a shell hands it over."""
    reading, writing = os.pipe()
    os.write(writing, b"tasks: {t: {name: T, command: x}}")
    os.close(writing)
    try:
        assert [task.name for task in read_file(Path(f"/proc/self/fd/{reading}")).tasks] == ["T"]
    finally:
        os.close(reading)


def test_rule_2_8_the_first_default_file_that_exists(tmp_path: Path) -> None:
    assert find_default(tmp_path) is None
    for name in reversed(DEFAULTS):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        assert find_default(tmp_path) == tmp_path / name


def test_many_faults_cost_little() -> None:
    """Guessing what was meant is for the first of them."""
    entries = "".join(
        f"  t{i}: {{name: N, command: x, dependsOn: [u{i}], kye{i}: 1}}\n" for i in range(5_000)
    )
    found = faults("f", "tasks:\n" + entries)
    assert len(found) == 10_000
