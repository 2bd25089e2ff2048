"""An order: all it takes to start one run, checked."""

import json
import marshal

from runner_agent.launcher import handing, loglines
from runner_agent.launcher.wire import Message, Refused, cast

_MOST_ID = 2**32 - 2


class Order:
    """One start request.

    Slots and `state`: to take one over costs a holder fewer pages than a dictionary would.
    """

    __slots__ = (
        "argv", "cgroup", "cwd", "env", "folder", "gid", "grace", "groups", "hidden", "limits", "log", "note",
        "oom_score_adj", "opening", "outlet", "quoted_id", "run_id", "script", "secrets", "secrets_in",
        "tended", "title", "uid", "umask",
    )  # fmt: skip

    def __init__(self, message: Message) -> None:
        """Raises Refused, naming the field."""
        self.run_id = _path(message, "run_id")
        self.quoted_id = json.dumps(self.run_id).encode()
        self.folder = _path(message, "dir")
        argv = [_text("argv", item) for item in _items(message, "argv")]
        self.argv, self.script = handing.handed(argv, _text("stdin", message.get("stdin", "")))
        self.env = _environment(message.get("env"))
        self.cwd = _path(message, "cwd")
        self.log = _path(message, "log")
        self.title = _text("title", message.get("title", "command"))
        self.note = loglines.line(_text("note", message.get("note", "")))
        self.cgroup = _text("cgroup", message.get("cgroup") or "")
        self.limits = _limits(message.get("limits", {}))
        self.uid = _optional(message, "uid", 0, _MOST_ID)
        self.gid = _optional(message, "gid", 0, _MOST_ID)
        self.groups = [_number("groups", item, 0, _MOST_ID) for item in _items(message, "groups")]
        self.umask = _number("umask", message.get("umask", 0o022), 0, 0o777)
        self.grace = _seconds("leftover_grace", message.get("leftover_grace", 10))
        self.oom_score_adj = _optional(message, "oom_score_adj", -1000, 1000)
        self.secrets = [_text("secrets", item) for item in _items(message, "secrets")]
        self.secrets_in = _text("secrets_in", message.get("secrets_in", ""))  # a file, see `spread`
        # A FIFO to be used as the command's pipe, so that others can write to it who are no children of it.
        self.outlet = _text("outlet", message.get("outlet", ""))
        # The processes are elsewhere: what we start tends them, and tells in RUN/outcome how it ended.
        self.tended = bool(message.get("tended"))
        self.opening = b""
        self.hidden = -1  # `secrets_in`, open, in a holder
        if not self.argv or not self.argv[0].startswith("/"):
            raise Refused("invalid", "argv: begins with the absolute path of a program")
        if (self.uid is None) != (self.gid is None):
            raise Refused("invalid", "uid and gid: give both or neither")

    def dump(self) -> bytes:
        """All of it, for `load` in a process of ours."""
        # fmt: off
        return marshal.dumps((
            self.argv, self.cgroup, self.cwd, self.env, self.folder, self.gid, self.grace, self.groups,
            self.limits, self.log, self.note, self.oom_score_adj, self.opening, self.outlet, self.quoted_id,
            self.run_id, self.script, self.secrets, self.secrets_in, self.tended, self.title, self.uid,
            self.umask,
        ))
        # fmt: on

    @classmethod
    def load(cls, dump: bytes) -> "Order":
        """What was dumped."""
        order = cls.__new__(cls)
        # fmt: off
        (
            order.argv, order.cgroup, order.cwd, order.env, order.folder, order.gid, order.grace,
            order.groups, order.limits, order.log, order.note, order.oom_score_adj, order.opening,
            order.outlet, order.quoted_id, order.run_id, order.script, order.secrets, order.secrets_in,
            order.tended, order.title, order.uid, order.umask,
        ) = marshal.loads(dump)  # noqa: S302 - our own parent dumped it
        # fmt: on
        return order


def _path(message: Message, field: str) -> str:
    value = _text(field, message.get(field))
    if not value:
        raise Refused("invalid", f"{field}: empty")
    return value


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise Refused("invalid", f"{field}: {type(value).__name__} where text is due")
    if "\0" in value:
        raise Refused(
            "invalid", f"{field}: holds a NUL byte, which no command, variable or path can carry; remove it"
        )
    if not value.isascii():
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise Refused(
                "invalid", f"{field}: holds half a surrogate pair, which is no text; remove it"
            ) from None
    return value


def _environment(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Refused("invalid", f"env: {type(value).__name__} where an object is due")
    env: dict[str, str] = {}
    for name, text in cast("Message", value).items():
        if not name or "=" in name:
            raise Refused("invalid", f"env: {name!r} is no name of a variable (it is empty or holds '=')")
        env[_text("env", name)] = _text(f"env {name}", text)
    return env


def _limits(value: object) -> dict[str, str]:
    """What to write to which file of the cgroup."""
    if not isinstance(value, dict):
        raise Refused("invalid", f"limits: {type(value).__name__} where an object is due")
    limits = {name: _text(f"limits {name}", text) for name, text in cast("Message", value).items()}
    if wrong := [name for name in limits if not name.replace(".", "").isalpha()]:
        raise Refused("invalid", f"limits: {wrong[0]!r} is no file of a cgroup")
    return limits


def _items(message: Message, field: str) -> list[object]:
    value = message.get(field, [])
    if not isinstance(value, list):
        raise Refused("invalid", f"{field}: {type(value).__name__} where a list is due")
    return cast("list[object]", value)


def _number(field: str, value: object, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Refused("invalid", f"{field}: {value!r} where a whole number from {low} to {high} is due")
    return value


def _seconds(field: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 86400:
        raise Refused("invalid", f"{field}: {value!r} where seconds from 0 to 86400 are due")
    return value


def _optional(message: Message, field: str, low: int, high: int) -> int | None:
    value = message.get(field)
    return None if value is None else _number(field, value, low, high)
