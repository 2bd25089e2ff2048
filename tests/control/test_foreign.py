"""Other formats: told in the first sentence, and every key of theirs with what to do instead."""

from __future__ import annotations

import time

import pytest

from runner_agent.control.automations import read_automations
from runner_agent.control.automations_keys import COMMANDS, SERVICE, TASK, TOP, Form
from runner_agent.control.file_errors import FileErrors
from runner_agent.control.foreign import recognise

COMPOSE = """\
services:
  db:
    image: postgres:16
    ports: ["5432:5432"]
  web:
    build: .
    depends_on: {db: {condition: service_healthy}}
volumes: {data: {}}
"""
GITPOD = """\
image: gitpod/workspace-full
tasks:
  - name: Web
    init: npm ci
    command: npm run dev
ports:
  - port: 3000
    onOpen: open-preview
"""
DEVCONTAINER = """\
// The dev container.
{
    "name": "Web", /* of the
    team */
    "image": "mcr.example.net/devcontainers/base:1", // a comment: with "quotes"
    "features": {"ghcr.example.net/node:1": {},},
    "postCreateCommand": "npm ci",
}
"""
TEMPLATE = """\
// For format details, see the specification.
{
    "name": "Ubuntu",
    // Or use a Dockerfile or Docker Compose file.
    "image": "mcr.example.net/devcontainers/base:1"
    // "features": {},
}
"""
PROCFILE = "# processes\nweb: bundle exec rails server -p $PORT\n\nworker: bundle exec sidekiq\n"
PROCESS_COMPOSE = """\
version: "0.5"
processes:
  api:
    command: ./api
    availability: {restart: on_failure}
    readiness_probe: {http_get: {port: 8080}}
"""
MPROCS = "procs:\n  web:\n    shell: npm run dev\n    autorestart: true\n"
TASKS_JSON = """\
{
  // See the documentation
  "version": "2.0.0",
  "tasks": [
    {"label": "build", "type": "shell", "command": "make", "problemMatcher": [],},
  ],
}
"""
WORKFLOW = "on: [push]\njobs:\n  test:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: make\n"
TASKFILE = "version: '3'\ntasks:\n  build:\n    cmds: [make]\n    deps: [gen]\n"
PACKAGE = '{"name": "web", "scripts": {"dev": "vite", "build": "vite build"}}'
PITCHFORK = "[daemons.web]\nrun = 'npm run dev'\nready_port = 3000\n"


def told(name: str, text: str) -> list[str]:
    with pytest.raises(FileErrors) as caught:
        read_automations(name, text.encode())
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a Compose file", COMPOSE),
        ("a .gitpod.yml", GITPOD),
        ("a .gitpod.yml", "image: gitpod/workspace-base\nports: [{port: 3000}]\n"),
        ("a devcontainer.json", DEVCONTAINER),
        ("a devcontainer.json", TEMPLATE),
        (
            "a devcontainer.json",
            TEMPLATE.replace('"image": "mcr.', '"build": {"dockerfile": "Dockerfile"} //'),
        ),
        ("a Procfile", PROCFILE),
        ("a process-compose file", PROCESS_COMPOSE),
        ("an mprocs.yaml", MPROCS),
        ("a VS Code tasks.json", TASKS_JSON),
        ("a GitHub workflow", WORKFLOW),
        ("a Taskfile", TASKFILE),
        ("a package.json", PACKAGE),
    ],
)
def test_a_file_of_another_format_is_told_in_the_first_sentence(what: str, text: str) -> None:
    names = ["f.yaml", "<stdin>"] + ["f.json"] * text.startswith(("{", "/"))
    for name in names:
        first = told(name, text)[0]
        assert first.startswith(f"{name}:1:1: this is {what}, not an automations file: ")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("compose.yaml", "a Compose file"),
        ("/w/docker-compose.override.yml", "a Compose file"),
        (".gitpod.yml", "a .gitpod.yml"),
        (".devcontainer/devcontainer.json", "a devcontainer.json"),
        ("Procfile", "a Procfile"),
        ("Procfile.dev", "a Procfile"),
        ("process-compose.yaml", "a process-compose file"),
        ("mprocs.yaml", "an mprocs.yaml"),
        (".vscode/tasks.json", "a VS Code tasks.json"),
        (".github/workflows/ci.yml", "a GitHub workflow"),
        ("pitchfork.toml", "a pitchfork.toml"),
        ("mise.toml", "a mise.toml"),
        ("devenv.nix", "a devenv.nix"),
    ],
)
def test_a_name_that_says_it_is_enough(name: str, what: str) -> None:
    assert f"this is {what}, not an automations file" in told(name, "{ not: readable: at all")[0]


def test_toml_is_told() -> None:
    assert told("f.yaml", PITCHFORK)[0].startswith("f.yaml:1:1: this is TOML; an automations file is YAML")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("compose.yaml", "services: {web: {name: W, commands: {start: x}, image: y}}"),
        ("f.yaml", "services: {web: {name: W, image: x, ports: [1], triggeredBy: [manual]}}"),
        ("f.yaml", "tasks: {build: {name: B, cmds: [make]}}"),
        ("f.yaml", "services:\n  web: npm run dev\n"),
        ("f.yaml", "servics: x y\n"),
        ("f.json", '{"tasks": {"b": {"name": "B", "comand": "x"}}}'),
        ("f.json", '{\n// mine\n"tasks": {"b": {"name": "B", "command": "x"}}}'),
        ("f.yaml", "name: My project\n"),
        ("f.yaml", "{name: Web, image: node, commands: {start: x}}"),
        ("f.yaml", "description: what it is\ntask: make it\n"),
        ("tasks.json", '{"tasks": {"b": {"name": "B", "comand": "x"}}}'),
    ],
)
def test_one_of_ours_with_a_fault_is_one_of_ours(name: str, text: str) -> None:
    assert not any("not an automations file" in line for line in told(name, text))


def test_what_else_is_wrong_is_told_after_it() -> None:
    """Rule 2.5."""
    lines = told("f.yaml", COMPOSE)
    assert any(
        "services.db.image: unknown key 'image'; did you mean runsOn.docker.image?" in one for one in lines
    )
    assert len(told("devcontainer.json", DEVCONTAINER)) == 1, "what cannot be read has no more to tell"


KEYS: list[tuple[str, Form, str]] = [
    (
        "Compose",
        SERVICE,
        """
        image build command entrypoint depends_on ports expose volumes networks environment env_file
        restart healthcheck container_name hostname user working_dir deploy labels logging links
        external_links extra_hosts tty stdin_open init privileged cap_add cap_drop devices dns
        profiles platform pull_policy scale secrets configs security_opt shm_size stop_signal
        stop_grace_period sysctls tmpfs ulimits network_mode ipc pid mem_limit cpus develop extends
        read_only group_add
        """,
    ),
    ("Compose", TOP, "version volumes networks secrets configs include"),
    (
        "process-compose",
        SERVICE,
        """
        command entrypoint depends_on availability readiness_probe liveness_probe shutdown
        log_location is_daemon is_foreground is_tty disabled namespace replicas working_dir
        environment env_file ready_log_line launch_timeout_seconds vars log_configuration schedule
        """,
    ),
    (
        "process-compose",
        TOP,
        """
        version processes environment env_file vars shell log_level log_location is_strict
        """,
    ),
    ("mprocs", SERVICE, "cmd shell cwd env add_path autostart autorestart stop log deps"),
    (
        "mprocs",
        TOP,
        """
        procs hide_keymap_window mouse_scroll_speed scrollback proc_list_width keymap_procs
        """,
    ),
    (
        "devcontainer.json",
        TOP,
        """
        image build dockerFile dockerComposeFile runServices workspaceFolder workspaceMount features
        customizations forwardPorts portsAttributes containerEnv remoteEnv remoteUser containerUser
        updateRemoteUserUID userEnvProbe overrideCommand shutdownAction init privileged capAdd
        securityOpt mounts runArgs appPort initializeCommand onCreateCommand updateContentCommand
        postCreateCommand postStartCommand postAttachCommand waitFor hostRequirements
        """,
    ),
    (
        "tasks.json",
        TASK,
        """
        label type args options group presentation problemMatcher dependsOrder runOptions
        isBackground windows osx linux detail icon hide promptOnClose
        """,
    ),
    (".gitpod.yml", TASK, "init before prebuild openIn openMode env"),
    (
        ".gitpod.yml",
        TOP,
        """
        image ports vscode github gitConfig checkoutLocation workspaceLocation
        additionalRepositories jetbrains coreDump
        """,
    ),
    ("devenv", SERVICE, "exec ready cwd env before after"),
    ("devenv", TASK, "exec before after status execIfModified"),
    ("devenv", TOP, "languages packages scripts processes enterShell env"),
    (
        "pitchfork",
        SERVICE,
        """
        run retry ready_on ready_delay ready_output ready_http ready_port ready_cmd auto cron
        depends env watch boot_start user dir mise memory_limit cpu_limit hooks port
        """,
    ),
    (
        "mise",
        TASK,
        """
        run depends depends_post wait_for env dir sources outputs alias shell quiet silent raw hide
        confirm tools usage timeout interactive
        """,
    ),
    ("mise", TOP, "tools env vars settings hooks"),
    (
        "Taskfile",
        TASK,
        """
        cmds deps sources generates vars preconditions status method silent dotenv dir requires
        aliases prompt platforms internal interactive
        """,
    ),
    (
        "under commands",
        COMMANDS,
        """
        ready_on ready_when readiness_probe healthcheck cmd shutdown init env cwd wait_for restart
        depends_on ports user image name triggeredBy timeout
        """,
    ),
]


@pytest.mark.parametrize(
    ("form", "key"),
    [(form, key) for _, form, words in KEYS for key in words.split()],
    ids=[f"{of}-{key}" for of, _, words in KEYS for key in words.split()],
)
def test_every_key_of_a_neighbour_has_its_answer(form: Form, key: str) -> None:
    """One that is accepted here too, one that was meant, or why there is none."""
    if form.accept(key) is not None:
        return
    guess = form.guess(key)
    refusal = form.refusal(key, guess)
    assert guess or f"{form.what} takes" not in refusal, refusal


def test_conditions_of_dependencies_are_left_out_of_the_advice() -> None:
    text = "tasks: {t: {name: T, command: x, depends_on: {db: {condition: service_healthy}, web: {}}}}"
    (line,) = told("f.yaml", text)
    assert line.endswith("expected a list of references, found a map; list its keys alone: [db, web]")


def test_a_task_that_only_depends_is_told_what_to_write() -> None:
    (line,) = told("f.yaml", "tasks: {a: {name: A, command: x}, all: {name: Everything, dependsOn: [a]}}")
    assert line.endswith('for one that only waits for what it depends on, write command: "true"')
    (line,) = told("f.yaml", "tasks: {a: {name: A}}")
    assert line.endswith("command is missing; a task needs it")


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ('command: "", dependsOn: [a]', True),
        ("command: , depends_on: [a]", True),
        ("deps: [a]", True),
        ("depends: [a]", True),
        ('command: "", deps: [a]', True),
        ('command: ""', False),
        ("command: 1, dependsOn: [a]", False),
    ],
)
def test_an_empty_command_beside_a_dependency_in_any_word_is_told_too(entry: str, hint: bool) -> None:
    line, *_ = told("f.yaml", f"tasks: {{all: {{name: Everything, {entry}}}, a: {{name: A, command: x}}}}")
    assert line.endswith('write command: "true"') is hint, line


def test_what_stands_beside_commands_is_sent_there_and_restart_is_no_start() -> None:
    text = "services: {s: {name: S, commands: {start: x, restart: always, timeout: 5m}}}"
    restart, timeout = told("f.yaml", text)
    assert restart.endswith("'restart': nothing is started again by itself; write a loop into the command")
    assert timeout.endswith("'timeout': write readinessTimeout beside commands, in the service itself")


@pytest.mark.heavy
@pytest.mark.parametrize(
    "text",
    [
        "{/*" * 300_000,
        '{"' * 400_000,
        '{"\\"' * 200_000,
        "{" + "," * 900_000,
        "a: b c\n" * 100_000,
        "[a\n" * 200_000,
    ],
    ids=lambda text: text[:6].strip(),
)
def test_a_hostile_file_costs_little(text: str) -> None:
    began = time.process_time()
    recognise("f.json", text, None)
    assert time.process_time() - began < 10
