"""Settings: where each comes from, which wins, and how a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner_agent.client.addresses import default_state_dir
from runner_agent.daemon.settings import ServeOptions, config_path, load, parse_listen
from runner_agent.model.errors import InvalidArgument
from runner_agent.model.phases import Trigger


def file_of(path: Path, text: str) -> Path:
    """A configuration file."""
    path.write_text(text)
    return path


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """Interface: precedence of settings."""
    config = file_of(
        tmp_path / "c.yaml",
        "service_stop_grace: 1m\ntask_stop_grace: 90\nshell: /bin/dash\nstate_dir: /from/file\n",
    )
    environ = {
        "RUNNER_AGENT_TASK_STOP_GRACE": "1h30m",
        "RUNNER_AGENT_STATE_DIR": "/from/environ",
        "HOME": "/h",
    }
    settings = load(
        ServeOptions(state_dir=Path("/from/flag"), workspace=tmp_path, config=config), environ, 1000
    )
    assert settings.state_dir == Path("/from/flag")
    assert settings.task_stop_grace == 5400
    assert settings.service_stop_grace == 60
    assert settings.shell == "/bin/dash"
    assert settings.ready_attempt_timeout == 0
    assert load(ServeOptions(workspace=tmp_path, config=config), environ, 1000).state_dir == Path(
        "/from/environ"
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), ("120s", 120), ("2m", 120), ("1h30m", 5400), ("1.5s", 1.5), ("0", 0), ("1.5", 1.5)],
)
def test_durations_are_read_as_the_interface_has_them(tmp_path: Path, text: str, seconds: float) -> None:
    environ = {"RUNNER_AGENT_SERVICE_STOP_GRACE": text, "HOME": "/h"}
    assert load(ServeOptions(workspace=tmp_path), environ, 1000).service_stop_grace == seconds


def test_all_that_is_wrong_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    config = file_of(tmp_path / "c.yaml", "log_cap: plenty\nunheard_of: 1\npost_machine_start: perhaps\n")
    environ = {"RUNNER_AGENT_TASK_STOP_GRACE": "soon", "RUNNER_AGENT_FIRE": "onFullMoon", "HOME": "/h"}
    with pytest.raises(InvalidArgument) as caught:
        load(ServeOptions(workspace=tmp_path, config=config, fire=("manual",)), environ, 1000)
    told = [str(one) for one in caught.value.violations]
    for place in (
        f"{config}:1:10: log_cap",
        f"{config}:2:1: unheard_of",
        f"{config}:3:21: post_machine_start",
        "RUNNER_AGENT_TASK_STOP_GRACE",
        "RUNNER_AGENT_FIRE",
        "--fire",
    ):
        assert any(one.startswith(place) for one in told), (place, told)


@pytest.mark.parametrize(
    ("environ", "uid", "listen"),
    [
        ({}, 0, "unix:/run/runner-agent/api.sock"),
        ({"XDG_RUNTIME_DIR": "/run/user/1"}, 1, "unix:/run/user/1/runner-agent/api.sock"),
        ({"HOME": "/home/me"}, 1, "unix:/home/me/.local/state/runner-agent/api.sock"),
        ({"RUNNER_AGENT_STATE_DIR": "/s", "XDG_RUNTIME_DIR": "/run/user/1"}, 1, "unix:/s/api.sock"),
        ({"RUNNER_AGENT_LISTEN": "unix:/a, tcp:127.0.0.1:0"}, 0, "unix:/a tcp:127.0.0.1:0"),
        (
            {"RUNNER_AGENT_LISTEN": "tcp:127.0.0.1:0", "RUNNER_AGENT_STATE_DIR": "/s"},
            0,
            "tcp:127.0.0.1:0 unix:/s/api.sock",
        ),
        (
            {"RUNNER_AGENT_LISTEN": "tcp:127.0.0.1:0", "RUNNER_AGENT_STATE_DIR": f"/{'s' * 100}"},
            0,
            "tcp:127.0.0.1:0",
        ),
    ],
)
def test_where_it_listens_unless_told(tmp_path: Path, environ: dict[str, str], uid: int, listen: str) -> None:
    """Interface: files and addresses. Beside TCP alone, too, commands find the agent (rule 5.2)."""
    environ = {"HOME": str(tmp_path), **environ}
    options = ServeOptions(workspace=tmp_path, config=file_of(tmp_path / "c.yaml", ""))
    assert " ".join(load(options, environ, uid).listen) == listen


def test_an_explicit_state_directory_has_the_socket_in_it(tmp_path: Path) -> None:
    options = ServeOptions(state_dir=Path("/s"), workspace=tmp_path, config=file_of(tmp_path / "c.yaml", ""))
    assert load(options, {"XDG_RUNTIME_DIR": "/run/user/1"}, 1).listen == ("unix:/s/api.sock",)


def test_where_the_configuration_file_is(tmp_path: Path) -> None:
    assert config_path(ServeOptions(), {}, 0) == Path("/etc/runner-agent/config.yaml")
    assert config_path(ServeOptions(), {"XDG_CONFIG_HOME": "/x"}, 1) == Path("/x/runner-agent/config.yaml")
    assert config_path(ServeOptions(), {"HOME": "/home/me"}, 1) == Path(
        "/home/me/.config/runner-agent/config.yaml"
    )
    assert config_path(ServeOptions(), {"RUNNER_AGENT_CONFIG": "/c"}, 0) == Path("/c")


def test_lists_and_maps(tmp_path: Path) -> None:
    config = file_of(
        tmp_path / "c.yaml", "environment: {A: '1', B: two}\nlisten: ['unix:/a']\nfire: [prebuild]\n"
    )
    settings = load(ServeOptions(workspace=tmp_path, config=config), {"HOME": "/h"}, 1)
    assert dict(settings.environment) == {"A": "1", "B": "two"}
    given = {"HOME": "/h", "RUNNER_AGENT_ENVIRONMENT": '{"A": "x,y=z", "B": "{"}'}
    told = load(ServeOptions(workspace=tmp_path, config=config), given, 1)
    assert dict(told.environment) == {"A": "x,y=z", "B": "{"}, "a value may hold a comma"
    for wrong in ('{"A": 1}', '{"A": ', '{"A": {"B": "c"}}'):
        with pytest.raises(InvalidArgument, match=r"RUNNER_AGENT_ENVIRONMENT.*JSON"):
            load(ServeOptions(workspace=tmp_path), {"HOME": "/h", "RUNNER_AGENT_ENVIRONMENT": wrong}, 1)
    assert settings.listen == ("unix:/a",)
    assert settings.fire == (Trigger.PREBUILD,)


@pytest.mark.parametrize(
    "text",
    [
        "unix:",
        "tcp:host",
        "tcp::80",
        "tcp:host:65536",
        "tcp:host:http",
        "/path",
        "http://x:1",
        "tcp:h:2-1",
        "tcp:h:1-x",
        pytest.param(f"tcp:h:{'9' * 5_000}", id="5000 digits"),
    ],
)
def test_an_address_that_is_none(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"unix:PATH or tcp:HOST:PORT"):
        parse_listen(text)


def test_users_without_a_home(tmp_path: Path) -> None:
    """No file of settings; and where a state directory is given nothing is missing."""
    nobody = 54321
    assert config_path(ServeOptions(), {}, nobody) is None
    assert load(ServeOptions(state_dir=Path("/s"), workspace=tmp_path), {}, nobody).state_dir == Path("/s")
    with pytest.raises(InvalidArgument, match=r"no home directory. Name one with --state-dir"):
        load(ServeOptions(workspace=tmp_path), {}, nobody)


@pytest.mark.parametrize(
    "environ", [{"HOME": "rel"}, {"HOME": ""}, {"HOME": "rel", "XDG_CONFIG_HOME": "rel"}]
)
def test_a_home_that_is_no_whole_path_is_none(environ: dict[str, str]) -> None:
    """It would be another one in each directory."""
    assert config_path(ServeOptions(), environ, 54321) is None
    assert default_state_dir(environ, 54321) is None
    assert default_state_dir({**environ, "XDG_STATE_HOME": "/x"}, 54321) == Path("/x/runner-agent")


def test_a_home_that_may_not_be_looked_into(tmp_path: Path) -> None:
    """No file of settings is found there; that is no error."""
    environ = {"HOME": str(Path("/proc/1/root", "nonexistent"))}
    assert load(ServeOptions(state_dir=Path("/s"), workspace=tmp_path), environ, 1000).log_level == "info"


@pytest.mark.parametrize("odd", ["a b", "a%b", "a'b", 'a"b', "a\nb", "ä", "a=b", "-a", "a\\b"])
def test_odd_paths(tmp_path: Path, odd: str) -> None:
    options = ServeOptions(state_dir=Path("/s") / odd, workspace=tmp_path)
    assert load(options, {"HOME": "/h"}, 1).state_dir == Path("/s") / odd


@pytest.mark.parametrize(
    ("state", "told"), [("/s/a:b", "holds a colon"), ("/a:b/s", "holds a colon"), ("/s/\udcff", "not UTF-8")]
)
def test_state_directories_that_cannot_be_used(tmp_path: Path, state: str, told: str) -> None:
    """Commands of runs are found below it, by PATH; and the API tells its name."""
    with pytest.raises(InvalidArgument, match=f"{told}.*--state-dir"):
        load(ServeOptions(state_dir=Path(state), workspace=tmp_path), {"HOME": "/h"}, 1)


def test_a_relative_socket_is_found_from_everywhere(tmp_path: Path) -> None:
    options = ServeOptions(workspace=tmp_path, listen=("unix:rel.sock", "tcp:127.0.0.1:0"))
    assert load(options, {"HOME": "/h"}, 1).listen == (f"unix:{Path.cwd()}/rel.sock", "tcp:127.0.0.1:0")


@pytest.mark.parametrize("kind", ["absent", "file"])
def test_a_workspace_that_is_none(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "w"
    if kind == "file":
        place.touch()
    with pytest.raises(InvalidArgument, match=str(place)):
        load(ServeOptions(workspace=place), {"HOME": "/h"}, 1)


def test_a_configuration_nested_too_deep_is_told_and_no_traceback(tmp_path: Path) -> None:
    config = file_of(tmp_path / "c.yaml", "environment: " + "[" * 5_000)
    with pytest.raises(InvalidArgument, match=r"c\.yaml:1:46: nested more than 32 levels deep"):
        load(ServeOptions(workspace=tmp_path, config=config), {"HOME": "/h"}, 1000)
