"""What a script does to the run it belongs to: detaches from it, never ends, waits without a limit."""

import re
from collections.abc import Iterator
from itertools import takewhile

from runner_agent.control.lint_shell import Statement, statements
from runner_agent.model.frozen import dataclass

_FEW = 200
"""Characters of a loop's head that are judged."""
_SHOWN = 60
"""Characters of a command in a message."""
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
_DETACH = r"-[Vwy]*d[Vwy]*|--detach(?:=true)?|--wait(?:=true)?"
_DETACHERS = (
    _row(
        "compose-detached",
        rf"{_COMPOSE}.* up\b.* (?:{_DETACH})(?: |$)|{_COMPOSE}.* (?:start|restart)(?: |$)",
        "",  # depends on how it is written
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
_OWN_CHILDREN = ("terminal-multiplexer", "process-manager", "daemonizes")
"""Rules about programs that fork away, and are of the run all the same."""
_ELSEWHERE = re.compile(r"(?:minikube|colima|supabase|localstack|kind|k3d) ")
"""What these leave behind runs in containers."""
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
_STAYS_WITH = re.compile(
    r"(?:while|until !) (?:sudo )?(?:kill -0|pgrep|ps |(?:test|\[{1,2}) -[de] \"?/proc/)"
)
"""A loop that lasts as long as a process does."""
_ENDS_ALL = re.compile(r"trap .*\bkill\b.* (?:EXIT|0)\b")
_KEEPS_SHELL = frozenset(("trap", "pkill", "pgrep", "ps", "killall"))
"""Commands of a script whose shell stays to its end (docs/decisions/0029)."""
_REDIRECTION = re.compile("[0-9]*[<>]|&>")
_LIMITED = re.compile(
    r"\btimeout (?:-\S+ )*[0-9]|--max-time|--retry|\bbreak\b|\$\(\(|\(\(|\blet |-(?:lt|le|gt|ge)\b"
)


def detaches(script: str) -> Iterator[Finding]:
    """A `start` that ends at once, since what it is about goes on elsewhere: the last thing that it does,
    but for what only reports or waits a little.
    """
    found = statements(script)
    heir = _heir(found)
    for statement in reversed(found):
        if (finding := _detached(statement, heir)) is not None:
            yield finding
            return
        if _ALWAYS.match(_condition(statement)) or _STAYS_WITH.match(_condition(statement)):
            return
        loops = statement.words[0] in {"while", "until"}
        if not loops and statement.command and not _PASSING.match(f"{statement.text} "):
            return


def leaves_behind(script: str) -> Finding | None:
    """A task that ends while something of it goes on: that is ended with it (rules 3.5, 4.7)."""
    found = statements(script)
    if any(_ENDS_ALL.match(statement.text) for statement in found):
        return None
    heir = _heir(found)
    for statement in reversed(found):
        text, told = statement.text, _told(statement)
        if statement.words[0] == "wait" or _STAYS_WITH.match(_condition(statement)):
            return None
        own = next((row.form for row in _DETACHERS if row.id in _OWN_CHILDREN and row.form.match(text)), None)
        if (
            statement.background
            or _forks(statement, heir)
            or (own is not None and not _ELSEWHERE.match(text))
        ):
            what = f"{told} &" if statement.background else told
            message = (
                f"{what} is left behind when the task ends, and ended with it: SIGTERM, and 10 s later"
                " SIGKILL; make it a service, or let the task wait for it"
            )
            return Finding("task-leaves-background", statement.line, message)
        if statement.command and not _PASSING.match(f"{text} "):
            return None
    return None


def _heir(found: tuple[Statement, ...]) -> Statement | None:
    """The command that the run's shell becomes (docs/decisions/0029): the last, where it stands alone."""
    piped = len(found) > 1 and found[-2].ends in {"|", "|&"}
    if not found or piped or any({*statement.command[:1]} & _KEEPS_SHELL for statement in found):
        return None
    return None if any(_REDIRECTION.match(word) for word in found[-1].words) else found[-1]


def _forks(statement: Statement, heir: Statement | None) -> bool:
    """`setsid x` that returns at once: where it is the first process of the run, or is told to."""
    text = statement.text
    if not text.startswith("setsid ") or re.match(r"setsid (?:-\w*w|--wait)", text):
        return False
    first = statement is heir or "exec" in statement.words[:2]
    return first or bool(re.match(r"setsid (?:-\w*f|--fork)", text))


def never_ends(script: str) -> Finding | None:
    """A `stop` that follows, sleeps or loops for ever."""
    for statement in statements(script):
        endless = _ENDLESS.match(statement.text) or _ALWAYS.match(_condition(statement))
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


def _detached(statement: Statement, heir: Statement | None) -> Finding | None:
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
    if _forks(statement, heir):
        message = f"{told}: setsid returns at once: {_WHY}; run the command without it"
        return Finding("background-process", statement.line, message)
    if option := _runs_detached(statement.command):
        told = f"'{statement.command[0]} run {option}'"
        way = f"leave out {option}" if option in {"-d", *_LONG} else f"leave the d out of {option}"
        message = f"{told} returns at once: {_CONTAINER_STAYS}; {way}, and let stop run docker stop"
        return Finding("container-detached", statement.line, message)
    for row in _DETACHERS:
        if row.form.match(text):
            told, cure = (told, row.cure) if row.cure else _compose(statement)
            return Finding(row.id, statement.line, f"{told} returns at once: {row.why}; {cure}")
    return None


def _compose(statement: Statement) -> tuple[str, str]:
    """How it is called, its `-d` with it, and what to write instead."""
    words = _shown(statement)
    at = next(at for at, word in enumerate(words) if word in {"up", "start", "restart"})
    options = [word for word in words[at:] if re.fullmatch(_DETACH, word)]
    shown = " ".join(words)
    if len(shown) > _SHOWN:
        shown = " ".join((*words[: 1 if "-" in words[0] else 2], words[at], *options))
    down = " ".join((*words[:at], "down"))
    if words[at] == "up":
        way = f"leave out {' and '.join(options)}"
    else:
        way = f"write {' '.join((*words[:at], 'up'))} without -d"
    return f"'{shown}'", f"{way}, and let stop run {down}"


_LONG = ("--detach", "--detach=true")


def _runs_detached(command: tuple[str, ...]) -> str:
    """The option of `docker run -d IMAGE`; "" for none, and for `docker run IMAGE program -d`."""
    words = [word for word in command if word != "container"]
    if len(words) < 3 or words[0] not in {"docker", "podman", "nerdctl"} or words[1] != "run":
        return ""
    at = 2
    while at < len(words) and words[at].startswith("-"):
        word = words[at]
        if word in _LONG or re.fullmatch(r"-[itPq]*d[itPq]*", word):
            return word
        at += 1 if _FLAGS.fullmatch(word) or "=" in word else 2
    return ""


def _condition(statement: Statement) -> str:
    """Its words as they are, of a loop."""
    return " ".join(statement.words)[:_FEW]


def _secretive(word: str) -> bool:
    """It could be a secret, or hold one."""
    return ("=" in word and word not in _LONG) or "://" in word


def _shown(statement: Statement) -> list[str]:
    """Its words up to a redirection, less those that could be secrets."""
    plain = takewhile(lambda word: not _REDIRECTION.match(word), statement.command)
    return [word for word in plain if not _secretive(word)]


def _told(statement: Statement) -> str:
    """The first words of it: never what could be a secret."""
    if statement.words[0] in {")", "done", "}"}:
        return "the block"
    shown = " ".join(_shown(statement)[:3])
    return f"'{shown}'" if len(shown) <= _SHOWN else f"'{shown[: _SHOWN - 3]}...'"
