"""What a script does to the run it belongs to: detaches from it, never ends, waits without a limit."""

import re
from collections.abc import Iterator

from runner_agent.control.lint_shell import Statement, statements
from runner_agent.model.frozen import dataclass

_STAYS = "the service is STOPPED as soon as start has ended"
_WHY = f"{_STAYS}, and what it left behind is ended"
_CONTAINER_STAYS = f"{_STAYS}, while the containers stay, and stop is never run"
_FOREGROUND = "run it in the foreground"


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a script breaks. `line` counts from 0 in the script; `message` is reason and cure."""

    id: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class _Detacher:
    id: str
    form: re.Pattern[str]
    cure: str
    why: str = _WHY


def _row(id_: str, form: str, cure: str, why: str = _WHY) -> _Detacher:
    return _Detacher(id_, re.compile(form), cure, why)


_COMPOSE = r"(?:docker[ -]compose|podman[ -]compose|nerdctl compose)\b"
_DETACHERS = (
    _row(
        "compose-detached",
        rf"{_COMPOSE}.* up\b.* (?:-d|--detach|--wait)(?: |$)|{_COMPOSE}.* (?:start|restart)(?: |$)",
        "leave out -d, and let stop run docker compose down",
        _CONTAINER_STAYS,
    ),
    _row(
        "container-detached",
        r"(?:docker|podman|nerdctl)(?: container)? (?:start|restart)(?! .*-(?:a|i|ai|-attach))(?: |$)",
        "use docker start --attach, or docker run without -d",
        _CONTAINER_STAYS,
    ),
    _row("terminal-multiplexer", r"screen .*-[A-Za-z]*d[A-Za-z]*m|tmux (?:.* )?new.* -\w*d", _FOREGROUND),
    _row(
        "process-manager",
        r"(?:pm2|forever) (?:start|restart|reload|resurrect)(?!.*--no-daemon)",
        "use pm2-runtime, or run the program itself: this agent supervises it",
    ),
    _row(
        "service-manager",
        r"systemctl (?:.* )?(?:start|restart|reload)\b|systemctl (?:.* )?enable .*--now"
        r"|(?:service|rc-service) \S+ (?:start|restart)|/etc/init\.d/\S+ (?:start|restart)"
        r"|brew services (?:start|restart)|pg_ctlcluster .* (?:start|restart)",
        "run the program itself in the foreground, or make this a task",
    ),
    _row(
        "daemonizes",
        r"redis-server .*--daemonize (?:yes|true)|nginx(?: -p \S+)?$|pg_ctl (?:.* )?(?:start|restart)\b"
        r"|mongod .*--fork|mysqld .*--daemonize|(?:apachectl|apache2ctl|httpd) (?:-k )?(?:start|restart)\b"
        r"|rabbitmq-server .*-detached|gunicorn .*(?:--daemon\b|-D\b)|uwsgi .*--daemonize"
        r"|celery .*(?:multi start|--detach)|localstack start .*(?:-d\b|--detached)|caddy start\b"
        r"|start-stop-daemon .*(?:-b\b|--background)|daemonize |(?:\S*/)?elasticsearch .*(?:-d\b|--daemonize)"
        r"|\S*-server-start(?:\.sh)? .*-daemon|(?:\S*/)?catalina\.sh start|(?:\S*/)?rails (?:s|server) .*-d\b"
        r"|memcached .*-d\b|(?:minikube|colima|supabase) start\b|kind create cluster"
        r"|k3d cluster (?:create|start)",
        f"{_FOREGROUND}, or make this a task where nothing is to be supervised",
    ),
)
_PASSING = re.compile(
    r"(?:echo|printf|exit|return|true|:|fi|done|esac|else|\}|\)|\]|sleep [0-9.]+[smhd]?|gitpod|ona"
    r"|runner-agent|cat|date|curl|wget|pg_isready|redis-cli|mysqladmin|nc|pgrep|grep|head"
    r"|tail(?! .*-[fF0-9]*[fF])"
    r"|export|touch|mkdir|chmod|trap|test|\[|\[\[|set|local|unset|disown|wait-for-it\S*|break|for|in|case|ls|pwd|cd"
    r"|(?:docker|podman)(?:[ -]compose)? (?:ps|exec|inspect|port)|docker network"
    r"|(?:docker|podman) logs(?! .*(?:-f|--follow))|kubectl (?:get|rollout|wait|apply|config)"
    r"|systemctl (?:status|is-active)|service \S+ status)(?: |$)"
)
_FLAGS = re.compile(
    r"-[itPq]*d?[itPq]*|--(?:rm|detach|init|privileged|publish-all|read-only|interactive|tty|quiet"
    r"|no-healthcheck|oom-kill-disable|sig-proxy)(?:=\w+)?"
)
_ENDLESS = re.compile(
    r"sleep (?:infinity|inf)\b|tail .*-\w*[fF]|tail .*--follow|(?:docker|podman).* logs .*(?:-f|--follow)\b"
    r"|kubectl logs .*(?:-f|--follow)\b|journalctl .*(?:-f|--follow)\b|docker events|watch "
)
_ALWAYS = re.compile(
    r"(?:while (?:true|:|\[ 1 \]|\(\(1\)\)|1)|until (?:false|\[ 0 -eq 1 \]))$|for \(\(;;\)\)"
)
_LIMITED = re.compile(
    r"\btimeout (?:-\S+ )*[0-9]|--max-time|--retry|\bbreak\b|\$\(\(|\(\(|\blet |-(?:lt|le|gt|ge)\b"
)


def detaches(script: str) -> Iterator[Finding]:
    """A `start` that ends at once, since what it is about goes on elsewhere: the last thing that it does,
    but for what only reports or waits a little.
    """
    for statement in reversed(statements(script)):
        if (finding := _detached(statement)) is not None:
            yield finding
            return
        if _ALWAYS.match(" ".join(statement.words)):
            return
        loops = statement.words[0] in {"while", "until"}
        if not loops and statement.command and not _PASSING.match(f"{statement.text} "):
            return


def never_ends(script: str) -> Finding | None:
    """A `stop` that follows, sleeps or loops for ever."""
    for statement in statements(script):
        endless = _ENDLESS.match(statement.text) or _ALWAYS.match(" ".join(statement.words))
        if endless and not statement.background and not _LIMITED.search(script):
            return Finding(
                "stop-never-ends",
                statement.line,
                f"{_told(statement)} never ends, so that every stop takes two minutes and ends FAILED; let"
                " stop end when the service has",
            )
    return None


def loops(script: str) -> Finding | None:
    """A `ready` that waits in a loop of its own, without a limit."""
    if _LIMITED.search(script):
        return None
    for statement in statements(script):
        if statement.words[0] in {"while", "until"}:
            return Finding(
                "ready-loops",
                statement.line,
                "ready loops by itself, and nothing limits it; test once and exit, since a failed attempt is"
                " repeated every second, and set readinessTimeout",
            )
    return None


def _detached(statement: Statement) -> Finding | None:
    text = statement.text
    told = _told(statement)
    if text.startswith("nohup "):
        message = (
            f"{told}: nohup is of no use here, and with & {_WHY}; run the command alone, in the foreground"
        )
        return Finding("nohup", statement.line, message)
    if statement.background:
        message = f"{told} & runs in the background: {_WHY}; leave out the &, or end start with wait"
        return Finding("background-process", statement.line, message)
    if text.startswith("setsid ") and not re.match(r"setsid (?:-\w*w|--wait)", text):
        message = f"{told}: setsid returns at once: {_WHY}; run the command without it"
        return Finding("background-process", statement.line, message)
    if _runs_detached(statement.command):
        told = f"'{statement.command[0]} run -d'"
        message = f"{told} returns at once: {_CONTAINER_STAYS}; leave out -d, and let stop run docker stop"
        return Finding("container-detached", statement.line, message)
    for row in _DETACHERS:
        if row.form.match(text):
            return Finding(row.id, statement.line, f"{told} returns at once: {row.why}; {row.cure}")
    return None


def _runs_detached(command: tuple[str, ...]) -> bool:
    """`docker run -d IMAGE`, and not `docker run IMAGE program -d`."""
    words = [word for word in command if word != "container"]
    if len(words) < 3 or words[0] not in {"docker", "podman", "nerdctl"} or words[1] != "run":
        return False
    at = 2
    while at < len(words) and words[at].startswith("-"):
        word = words[at]
        if word in {"--detach", "--detach=true"} or re.fullmatch(r"-[itPq]*d[itPq]*", word):
            return True
        at += 1 if _FLAGS.fullmatch(word) or "=" in word else 2
    return False


def _told(statement: Statement) -> str:
    """The first words of it: never what could be a secret."""
    if statement.words[0] in {")", "done", "}"}:
        return "the block"
    words = [word for word in statement.command if "=" not in word and "://" not in word]
    shown = " ".join(words[:3])
    return f"'{shown}'" if len(shown) <= 60 else f"'{shown[:57]}...'"
