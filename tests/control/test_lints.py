"""The warnings, both sides of each: what bites, and what looks like it and does not."""

from __future__ import annotations

import time

import pytest
from click import Context
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner_agent.cli.compat import answer
from runner_agent.cli.root import LazyGroup, automations
from runner_agent.control.automations import check_automations
from runner_agent.control.automations_starter import STARTER
from runner_agent.control.file_errors import FileWarning
from runner_agent.control.lint_scripts import detaches, leaves_behind, loops, never_ends
from runner_agent.control.lint_secrets import secrets_in
from runner_agent.control.lint_shell import statements
from runner_agent.control.lint_tools import prepares
from runner_agent.control.lint_verbs import refused_verbs
from runner_agent.control.lints import RULES
from runner_agent.control.vendor_verbs import ALIASES, COMMANDS

GITHUB = "ghp_" + "q8Zr1LmT0xVb7Nc4Kd9Ws2YhPf5Gj3Ra6Ue0"
AWS = "AKIA" + "Q8ZR1LMT0XVB7NC4"


def warnings(text: str, name: str = "f.yaml") -> list[FileWarning]:
    _, found = check_automations(name, text.encode())
    return list(found)


def ids(script: str) -> list[tuple[str, int]]:
    return [(finding.id, finding.line) for finding in detaches(script)]


@pytest.mark.parametrize(
    ("script", "id_", "line"),
    [
        ("docker compose up -d", "compose-detached", 0),
        ("docker compose -f a.yml --profile x up --detach db", "compose-detached", 0),
        ("docker-compose up -d db && echo started", "compose-detached", 0),
        ("set -e\nsudo docker compose up --wait\n", "compose-detached", 1),
        ("docker compose up -d\nuntil pg_isready; do\n  sleep 1\ndone\necho ok", "compose-detached", 0),
        ("podman-compose up -d", "compose-detached", 0),
        ("docker compose start", "compose-detached", 0),
        ("docker run -d -p 80:80 nginx", "container-detached", 0),
        ("docker rm -f x || true\ndocker run --name x -itd redis", "container-detached", 1),
        ("docker run --rm \\\n  --name x \\\n  --detach \\\n  redis", "container-detached", 0),
        ("docker start pg", "container-detached", 0),
        ("./server &", "background-process", 0),
        ("./server & # in the background\n\necho done", "background-process", 0),
        ("(cd web && npm start) &\necho $!", "background-process", 0),
        ("for i in 1 2; do ./worker $i & done", "background-process", 0),
        ("./server & disown", "background-process", 0),
        ("X='a # b' ./server > log 2>&1 &", "background-process", 0),
        ("setsid ./server", "background-process", 0),
        ("cd web\nsetsid ./server", "background-process", 1),
        ("exec setsid ./server > log", "background-process", 0),
        ("setsid --fork ./server\necho started", "background-process", 0),
        ("./server & until curl -sf localhost; do sleep 1; done", "background-process", 0),
        ("./server & while ! curl -sf localhost; do sleep 1; done", "background-process", 0),
        ("bash -c $'cd web\\ndocker compose up -d'", "compose-detached", 0),
        ("/usr/bin/env bash -c 'docker compose up -d'", "compose-detached", 0),
        ('su - dev -c "docker compose up -d"', "compose-detached", 0),
        ('eval "./server &"', "background-process", 0),
        ("nohup ./server &", "nohup", 0),
        ("nohup ./server", "nohup", 0),
        ("tmux new-session -d -s x ./server", "terminal-multiplexer", 0),
        ("screen -dmS x ./server", "terminal-multiplexer", 0),
        ("pm2 start ecosystem.config.js", "process-manager", 0),
        ("sudo systemctl start nginx", "service-manager", 0),
        ("sudo service postgresql start && sudo service postgresql status", "service-manager", 0),
        ("/etc/init.d/redis start", "service-manager", 0),
        ("redis-server --port 6379 --daemonize yes", "daemonizes", 0),
        ("nginx", "daemonizes", 0),
        ("sudo -u postgres pg_ctl -D /data start", "daemonizes", 0),
        ("gunicorn app:app --daemon", "daemonizes", 0),
        ("minikube start --driver docker", "daemonizes", 0),
    ],
)
def test_a_start_that_does_not_stay(script: str, id_: str, line: int) -> None:
    assert ids(script) == [(id_, line)]


@pytest.mark.parametrize(
    "script",
    [
        "docker compose up",
        "docker compose up -d\ndocker compose logs -f",
        "docker compose up -d && sleep infinity",
        "docker compose up -d db\nnpm run dev",
        "docker compose up -d\nwhile true; do\n  sleep 60\ndone",
        "if command -v docker; then\n  docker compose up -d\nelse\n  npm start\nfi",
        "docker run --rm -p 80:80 nginx",
        "docker run --rm -p 80:80 image program -d",
        "docker start --attach pg",
        "docker start -ai pg",
        "id=$(docker run -d redis)\ndocker wait $id",
        "./a & ./b",
        "./a &\n./b &\nwait",
        "./a &\npid=$!\ntrap 'kill $pid' EXIT\nwait $pid",
        "./server > log 2>&1",
        "./server &> log",
        "./server >& log",
        "cd a && ./server || exit 1",
        "cat > x <<'EOT'\ndocker compose up -d\nEOT\n./server",
        "cat > x <<-EOT\n\t./server &\n\tEOT\n./server",
        "echo 'docker compose up -d'",
        "# docker compose up -d\n./server",
        "curl 'http://localhost/?a=1&b=2'\n./server",
        "setsid --wait ./server",
        "setsid ./server\necho ended",
        "setsid ./server > log 2>&1",
        "if true; then setsid ./server; fi",
        "echo y | setsid ./server",
        "trap 'rm -f up' EXIT\nsetsid ./server",
        "pkill -f server\nsetsid ./server",
        "./server & SRV=$!; while kill -0 $SRV; do sleep 1; done",
        "./server &\nuntil ! pgrep -x server; do\n  sleep 1\ndone",
        "./server & while [ -d /proc/$! ]; do sleep 1; done",
        'eval "$(ssh-agent -s)"\n./server',
        "pm2 start x.js --no-daemon",
        "pm2-runtime x.js",
        "nginx -g 'daemon off;'",
        "redis-server --daemonize no",
        'echo "$(nohup true &)"\n./server',
        "",
        "echo a placeholder",
    ],
)
def test_a_start_that_stays(script: str) -> None:
    assert ids(script) == []


@pytest.mark.parametrize(
    ("script", "endless"),
    [
        ("sleep infinity", True),
        ("kill 1\ntail -f /var/log/x", True),
        ("while true; do sleep 1; done", True),
        ("docker compose logs --follow", True),
        ("docker stop x", False),
        ("while kill -0 $pid; do sleep 1; done", False),
        ("tail -n 20 log", False),
        ("timeout 20 tail -f log", False),
        ("tail -f log &\nkill 1", False),
        ("", False),
    ],
)
def test_a_stop_that_never_ends(script: str, endless: bool) -> None:
    assert (never_ends(script) is not None) is endless


@pytest.mark.parametrize(
    ("script", "looping"),
    [
        ("until curl -sf localhost; do sleep 1; done", True),
        ("while ! nc -z localhost 1; do sleep 1; done", True),
        ("curl -sf localhost", False),
        ("for i in $(seq 60); do curl -sf localhost && exit 0; sleep 1; done; exit 1", False),
        ("timeout 60 bash -c 'until curl localhost; do sleep 1; done'", False),
        ("n=0\nuntil curl localhost; do\n  n=$((n+1)); [ $n -gt 9 ] && exit 1\ndone", False),
        ("echo 'until then'", False),
    ],
)
def test_a_ready_that_loops(script: str, looping: bool) -> None:
    assert (loops(script) is not None) is looping


@pytest.mark.parametrize(
    ("task", "service", "told"),
    [
        ("npm ci", "npm run dev", True),
        ("cd web && pnpm install --frozen-lockfile", "cd web\npnpm dev", True),
        ("yarn", "yarn start", True),
        ("python3 -m pip install -r requirements.txt", "uvicorn app:app", True),
        ("composer install", "php artisan serve", True),
        ("bin/setup", "bin/rails server", True),
        ("./mvnw -q package -DskipTests", "java -jar target/app.jar", True),
        ("npm ci", "npm ci && npm run dev", False),
        ("npm ci", "until [ -d node_modules ]; do sleep 1; done\nnpm run dev", False),
        ("npm run lint", "npm run dev", False),
        ("npm ci", "docker compose up", False),
        ("echo npm ci", "npm run dev", False),
        ("yarn build", "yarn start", False),
        ("pip install -r requirements.txt", "python3 -m http.server 8000", False),
        ("pip install -r requirements.txt", "python3 -u -m uvicorn app:app", True),
        ("cd web && npm ci", "cd other-dir && node server.js", False),
        ("cd web && npm ci", "cd web/server && node server.js", True),
        ("cd web && npm ci", "npm --prefix web run dev", True),
        ("cd web && npm ci", "cd $DIR && npm start", True),
        ("cd web && npm ci", "cd /srv/web && npm start", True),
        ("npm ci", "cd packages/web && npm start", True),
        ("cd ..\nnpm ci", "cd web && npm start", True),
        ("cd web && npm ci; cd ../api && npm ci", "cd api && npm start", True),
        ("cd web && npm ci; cd ../api && npm ci", "cd docs && npm start", False),
        ("(cd web && npm ci)\n(cd api && npm ci)", "cd api && npm start", True),
    ],
)
def test_a_task_that_a_service_races(task: str, service: str, told: bool) -> None:
    assert bool(prepares(task, service)) is told


@pytest.mark.parametrize(
    "text",
    [
        f"export GITHUB_TOKEN={GITHUB}",
        f'curl -H "Authorization: Bearer {GITHUB}"',
        f"aws configure set aws_access_key_id {AWS}",
        "postgres://app:9fk2Lx0qPzTn@db.internal.example.net:5432/app",
        'API_KEY="q8Zr1LmT0xVb7Nc4Kd9Ws2Yh"',
        '{"client-secret": "q8Zr1LmT0xVb7Nc4Kd9Ws2Yh"}',
        "-----BEGIN RSA PRIVATE KEY-----",
        "stripe listen --api-key sk_live_" + "q8Zr1LmT0xVb7Nc4Kd9Ws2Yh",
    ],
)
def test_a_secret_is_seen_and_never_shown(text: str) -> None:
    found = list(secrets_in(text))
    assert [finding.id for finding in found] == ["secret-literal"]
    for at in range(4, len(text) - 6):
        piece = text[at : at + 6]
        shown = piece in found[0].message
        assert not shown or not any(char.isdigit() for char in piece), piece


@pytest.mark.parametrize(
    "text",
    [
        "export TOKEN=$GITHUB_TOKEN",
        'export TOKEN="${TOKEN:?missing}"',
        "POSTGRES_PASSWORD=postgres",
        "SECRET_KEY=changethis-in-production-please-1",
        "postgres://app:longpassword@localhost:5432/app",
        "postgres://app:longpassword@db/app",
        "postgres://app:$PGPASSWORD@db.example.net/app",
        "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
        "git checkout 4f2c9d1e8b7a6053c4d2e1f0a9b8c7d6e5f40312",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "https://example.net/path/with/secret/words",
        "sk-" + "x" * 40,
        "TOKEN_FILE=/run/secrets/api/token1",
        "echo 'set GITHUB_TOKEN=ghp_... first'",
        "JWT_SECRET=your-256-bit-secret-goes-here",
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert list(secrets_in(text)) == []


FILE = """\
services:
  web:
    name: Web
    triggered_by: [postEnvironmentStart]
    commands:
      start: |

        cd web
        npm run dev &
      ready: test -e up
tasks:
  deps: {name: D, command: make deps, triggeredBy: [postDevcontainerStart]}
  build:
    name: B
    command: make
    depends_on: [deps]
    triggeredBy: [postEnvironmentStart]
"""


def test_warnings_stand_where_they_belong_in_either_spelling() -> None:
    assert [(one.line, one.column, one.path, one.id) for one in warnings(FILE)] == [
        (9, 9, "services.web.commands.start", "background-process"),
        (10, 7, "services.web.commands.ready", "ready-without-timeout"),
        (16, 5, "tasks.build.dependsOn", "different-triggers"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        ("npm run dev &", "npm run dev &  # runner-agent: ignore background-process", "background-process"),
        ("  web:\n", "  web:  # runner-agent: ignore nohup, background-process\n", "background-process"),
        (
            "ready: test -e up",
            "ready: test -e up  # runner-agent: ignore ready-without-timeout",
            "ready-without",
        ),
        ("  build:\n", "  build:  # runner-agent: ignore different-triggers\n", "different-triggers"),
    ],
)
def test_a_comment_switches_a_warning_off(old: str, new: str, gone: str) -> None:
    left = [one.id for one in warnings(FILE.replace(old, new))]
    assert len(left) == 2
    assert not any(one.startswith(gone) for one in left)


def test_another_rule_s_comment_switches_nothing_off() -> None:
    assert len(warnings(FILE.replace("npm run dev &", "npm run dev & # runner-agent: ignore nohup"))) == 3


def test_a_timeout_of_zero_is_a_decision() -> None:
    entry = "{name: W, commands: {start: x, ready: y}, readinessTimeout: 0s, triggeredBy: [manual]}"
    assert warnings(f"services: {{w: {entry}}}") == []


def test_a_file_in_which_nothing_lists_a_trigger() -> None:
    """`manual` is one: it says that somebody has thought of it."""
    told = warnings("tasks: {t: {name: T, command: make}, u: {name: U, command: make}}")
    assert [(one.id, one.path) for one in told] == [("no-triggers", "tasks.t")]
    assert (
        warnings("tasks: {t: {name: T, command: make, triggeredBy: [manual]}, u: {name: U, command: x}}")
        == []
    )
    assert warnings("{}") == []


def test_a_ready_without_a_limit_is_told_once_and_names_the_services() -> None:
    services = "".join(
        f"  s{at}: {{name: S, triggeredBy: [manual], commands: {{start: x, ready: y}}}}\n" for at in range(3)
    )
    (told,) = warnings(f"services:\n{services}")
    assert (told.id, told.path) == ("ready-without-timeout", "services.s0.commands.ready")
    assert told.message.startswith("s0, s1, s2: without readinessTimeout")
    off = services.replace("}}\n", "}}  # runner-agent: ignore ready-without-timeout\n", 1)
    (told,) = warnings(f"services:\n{off}")
    assert told.message.startswith("s1, s2: ")


@pytest.mark.parametrize(
    ("script", "label", "cure"),
    [
        (
            "docker compose up -d",
            "'docker compose up -d'",
            "leave out -d, and let stop run docker compose down",
        ),
        (
            "docker compose -f dev.yml up --build -d",
            "'docker compose -f dev.yml up --build -d'",
            "leave out -d, and let stop run docker compose -f dev.yml down",
        ),
        (
            "docker-compose -p x up -dV",
            "'docker-compose -p x up -dV'",
            "let stop run docker-compose -p x down",
        ),
        ("docker compose up --detach=true", "'docker compose up --detach=true'", "leave out --detach=true"),
        ("docker compose up --wait db", "'docker compose up --wait db'", "leave out --wait, and"),
        ("docker compose restart", "'docker compose restart'", "write docker compose up without -d, and"),
        (
            f"docker compose {'--profile verylongname ' * 5}up -d --wait",
            "'docker compose up -d --wait'",
            "leave out -d and --wait",
        ),
        ("docker run --rm -itd redis", "'docker run -itd'", "leave the d out of -itd"),
        ("docker run --detach redis", "'docker run --detach'", "leave out --detach,"),
    ],
)
def test_a_command_is_shown_with_its_d_and_the_cure_takes_that_away(
    script: str, label: str, cure: str
) -> None:
    (finding,) = detaches(script)
    assert finding.message.startswith(f"{label} returns at once")
    assert cure in finding.message


@pytest.mark.parametrize(
    "script",
    [
        "sleep 300 &\necho started",
        "nohup setsid sleep 301 >/dev/null 2>&1 &",
        "setsid ./server",
        "(cd web && npm start) &",
        "bash -c './server &'",
        "bash -c './server' & disown",
        "tmux new-session -d -s x ./server",
        "pm2 start x.js",
        "pg_ctl -D data start",
        "if true; then\n  ./server &\nfi",
        "trap 'echo bye' EXIT\n./server &\ncurl -sf localhost",
    ],
)
def test_a_task_that_leaves_something_behind(script: str) -> None:
    finding = leaves_behind(script)
    assert finding is not None
    assert finding.id == "task-leaves-background"
    assert "SIGTERM, and 10 s later SIGKILL; make it a service" in finding.message


@pytest.mark.parametrize(
    "script",
    [
        "",
        "make",
        "./a &\n./b &\nwait",
        "./server &\nnpm test",
        "./server &\npid=$!\nnpm test\nkill $pid",
        "make > log 2>&1",
        "make &> log",
        "docker compose up -d",
        "docker run -d redis",
        "sudo systemctl start nginx",
        "minikube start",
        "setsid --wait ./x",
        "setsid sleep 3\necho after",
        "trap 'kill $(jobs -p)' EXIT\n./server &\ncurl -sf localhost",
        "./server & while kill -0 $!; do sleep 1; done",
        "echo 'sleep 1 &'",
    ],
)
def test_a_task_that_leaves_nothing_behind(script: str) -> None:
    assert leaves_behind(script) is None


@pytest.mark.parametrize(
    ("script", "seen"),
    [
        ('bash -c "docker compose up -d"', [("docker compose up -d", 0)]),
        ("sh -lc 'cd web\nnpm run dev'", [("cd web", 0), ("npm run dev", 1)]),
        ("set -e\nexec bash -euo pipefail -c 'a; b'", [("set -e", 0), ("a", 1), ("b", 1)]),
        ("timeout 60 /bin/bash --norc -c 'a'", [("a", 0)]),
        ('sudo -u dev bash -lc "say \\"x y\\" && sh -c \'z\'"', [('say "x y"', 0), ("z", 0)]),
        ("bash -c 'a' &", [("a", 0), ("bash -c 'a'", 0)]),
        ("bash script.sh -c", [("bash script.sh -c", 0)]),
        ("docker exec x bash -c 'a'", [("docker exec x bash -c 'a'", 0)]),
        ("bash -c", [("bash -c", 0)]),
        ("bash -c ''", [("bash -c ''", 0)]),
        (r"bash -c $'say \'x\'\nb'", [("say 'x'", 0), ("b", 0)]),
        ("su -c a dev", [("a", 0)]),
        ("eval a 'b; c'", [("a b", 0), ("c", 0)]),
        ("su dev", [("su dev", 0)]),
    ],
)
def test_what_a_shell_is_given_is_seen(script: str, seen: list[tuple[str, int]]) -> None:
    assert [(one.text, one.line) for one in statements(script)] == seen


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("gitpod whoami", ["gitpod whoami"]),
        ("ona environment port list -o json", ["ona environment port list"]),
        ('x="$(ona environment get -f id)"', ["ona environment get"]),
        ("echo `gp url 3000`", ["gp url"]),
        ("a\nbash -c 'gitpod user whoami'", ["gitpod user whoami"]),
        ("gp ports await 3000\ngp ports await 4000", ["gp ports"]),
        ("gitpod environment port open 3000 --name Web", []),
        ("ona env ports open 3000 && gitpod auto service start web > log", []),
        ("gitpod --version\nona help\ngitpod", []),
        ("if command -v gp; then gp url 3000; fi", []),
        ("which gitpod && gitpod whoami", []),
        ("echo gitpod whoami", []),
        ("echo 'x=$(gp url 1)'", []),
        ("./gp url", []),
        ("timeout -k 5 60 gp ports await 3000", ["gp ports"]),
        ("nohup gp url > url", ["gp url"]),
        ("echo 3000 | xargs -n 1 gp url", ["gp url"]),
        ("echo 3000 | xargs echo gp url", []),
        ('"gp" url', ["gp url"]),
        ("cat <(gp env)", ["gp env"]),
        ('echo "<(gp env)"', []),
        ("cat <<EOF\nit's $(gp url)\nEOF", ["gp url"]),
        ("cat <<'EOF'\n$(gp url)\nEOF", []),
        ("cat <<\\EOF\n$(gp url)\nEOF\ngp env", ["gp env"]),
        ("trap 'gp url' EXIT", ["gp url"]),
        ("f() { gp url; }\nf", ["gp url"]),
        ("case $1 in up) gp url;; esac", ["gp url"]),
        ("ona automations service status x", ["ona automations service status"]),
        ("gitpod automations logs x", ["gitpod automations logs x"]),
        ("ona automations frob", ["ona automations frob"]),
        ("ona auto services list\ngitpod a task start x\nona automations --help\ngitpod a $VERB", []),
        ("a=(gp url)\nb=()\nc+=($(gp env) x)", ["gp env"]),
        ("gitpod whoami || true", []),
        ("gitpod whoami | head -1 || echo nobody", []),
        ("x=$(gitpod whoami) || x=nobody", []),
        ("(gitpod whoami) || true", []),
        ("if gitpod whoami; then a; fi", []),
        ("gitpod whoami; a || true", ["gitpod whoami"]),
        ("if true; then gitpod whoami; fi", ["gitpod whoami"]),
        ("until gp ports await 3000; do sleep 1; done", ["gp ports"]),
        ("gp() { echo http://localhost:$2; }\ngp url 3000", []),
        ("function gp { :; }\ngp url\nona whoami", ["ona whoami"]),
    ],
)
def test_a_verb_that_nothing_answers(script: str, told: list[str]) -> None:
    found = list(refused_verbs(script))
    assert [one.message.split("'")[1] for one in found] == told
    assert all(one.id == "refused-verb" for one in found)


def test_the_commands_of_automations_are_known_to_the_warnings() -> None:
    for name, commands in COMMANDS.items():
        found = automations.get_command(Context(automations), name)
        assert found is not None
        assert sorted(commands) == (
            sorted(found.list_commands(Context(found))) if isinstance(found, LazyGroup) else []
        )
    assert [*COMMANDS] == automations.list_commands(Context(automations))
    for alias, name in ALIASES.items():
        assert automations.get_command(Context(automations), alias) is automations.get_command(
            Context(automations), name
        )


def test_the_warnings_and_the_stand_in_go_by_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    refused = ("whoami", "environment port list", "env", "automations frob", "a service status x", "a")
    for words in map(str.split, refused):
        assert answer("gitpod", words) == 2
        assert [*refused_verbs(" ".join(("gitpod", *words)))]
    for words in map(str.split, ("environment port open 1", "help", "version", "", "a service list -h")):
        assert answer("ona", words) == 0
        assert not [*refused_verbs(" ".join(("ona", *words)))]
    assert "cannot be done by this agent" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("service", "task", "id_"),
    [
        ("postDevcontainerStart", "postEnvironmentStart", "service-earlier-than-its-task"),
        ("postMachineStart", "postDevcontainerStart", "service-earlier-than-its-task"),
        ("postEnvironmentStart", "postEnvironmentStart", "service-races-task"),
        ("postEnvironmentStart", "postDevcontainerStart", "service-races-task"),
        ("postDevcontainerStart", "postMachineStart", "service-races-task"),
        ("postEnvironmentStart", "prebuild, postDevcontainerStart", ""),
        ("postDevcontainerStart", "prebuild, postEnvironmentStart", ""),
        ("postDevcontainerStart", "manual", ""),
        ("manual", "postEnvironmentStart", ""),
    ],
)
def test_a_service_and_the_task_it_needs(service: str, task: str, id_: str) -> None:
    text = (
        f"services: {{web: {{name: W, triggeredBy: [{service}], commands: {{start: sh -c 'npm start'}}}}}}\n"
        f"tasks: {{deps: {{name: D, triggeredBy: [{task}], command: npm ci}}}}\n"
    )
    assert [one.id for one in warnings(text)] == ([id_] if id_ else [])


NEEDED = """\
tasks:
  install: {name: I, command: npm ci}
  other: {name: O, command: x, triggeredBy: [%s], dependsOn: [%s]}
"""
AFTER = """\
tasks:
  install: {name: I, command: npm ci, triggeredBy: [postEnvironmentStart], dependsOn: [other]}
  other: {name: O, command: x, dependsOn: [web]}
"""


@pytest.mark.parametrize(
    ("web", "tasks", "told"),
    [
        (
            "[postEnvironmentStart]",
            NEEDED % ("postEnvironmentStart", "install"),
            "starts this service and the task install (which other needs) at the same time",
        ),
        (
            "[]",
            NEEDED % ("postEnvironmentStart", "install, web"),
            "starts this service (which other needs) and the task install (which other needs) at the same",
        ),
        (
            "[postEnvironmentStart]",
            NEEDED % ("postDevcontainerStart", "install"),
            "without waiting for the task install (which other needs) of postDevcontainerStart to end, and",
        ),
        ("[postEnvironmentStart]", AFTER, ""),
        ("[postEnvironmentStart]", NEEDED % ("manual", "install"), ""),
        ("[]", NEEDED % ("manual", "install, web"), ""),
    ],
)
def test_what_is_started_since_something_depends_on_it_races_too(web: str, tasks: str, told: str) -> None:
    entry = f"{{name: W, triggeredBy: {web}, commands: {{start: npm run dev}}}}"
    found = warnings(f"services: {{web: {entry}}}\n{tasks}\n")
    assert [one.id for one in found] == (["service-races-task"] if told else [])
    assert all(told in one.message for one in found)
    assert all(("give the service no trigger" in one.message) is (web != "[]") for one in found)


def test_the_starter_file_has_nothing_to_warn_of_beside_pip() -> None:
    """Its web server is Python's own, which nothing has to be installed for."""
    text = STARTER.replace("[prebuild]", "[postEnvironmentStart]")
    assert warnings(text.replace('echo "install what', 'pip install x\n      echo "install what')) == []


def test_every_message_says_why_and_what_to_do() -> None:
    for one in warnings(FILE):
        assert one.id in RULES
        assert "; " in one.message
        assert str(one).isprintable()


@settings(max_examples=150)
@given(st.text(alphabet=" \n\t'\"`$(){}<>|&;#\\=abE-~!", max_size=60))
@example("<<E\n")
@example("$(")
@example('"$(a "b" `c`)" & ')
@example("<<'E' <<-F\na\nE\n\tF\nb &")
def test_any_script_is_split_and_judged(script: str) -> None:
    found = statements(script)
    lines = script.count("\n")
    assert all(one.words and 0 <= one.line <= lines for one in found)
    for judge in (
        lambda: list(detaches(script)),
        lambda: [never_ends(script)],
        lambda: [loops(script)],
        lambda: [leaves_behind(script)],
        lambda: list(refused_verbs(f"{script}\n$(gp x)")),
        lambda: list(detaches(f"bash -c {script}")),
    ):
        assert all(finding is None or 0 <= finding.line <= lines + 1 for finding in judge())


@pytest.mark.heavy
@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "\\a" * 100_000,
        "docker compose " + "up " * 60_000,
        "A=b " * 50_000,
        "$(" * 100_000,
        "eyJ-" * 50_000,
        "a://" * 50_000,
        "token" * 40_000,
        "token=" * 40_000,
        "#" * 200_000 + "\nx &",
        "timeout " * 30_000,
        "<<E " * 50_000,
        "x &\n" * 50_000,
        "npm " * 50_000,
    ],
    ids=lambda text: text[:8].strip(),
)
def test_a_hostile_script_costs_little(text: str) -> None:
    """Nothing is looked at again and again: that would take minutes."""
    began = time.process_time()
    judged = [*detaches(text), never_ends(text), loops(text), *secrets_in(text), prepares(text, text)]
    judged += [leaves_behind(text), *refused_verbs(f"gp x\n{text}")]
    assert statements(f"bash -c '{text}'")
    assert judged
    assert time.process_time() - began < 20
