"""Files of other formats that are taken for automations files: which it is, and what to do with it.

Asked only about a file that cannot be read or has faults, so a valid one is never mistaken for another.
"""

import re
from collections.abc import Callable, Collection
from pathlib import PurePath

from runner_agent.control.automations_habits import TOP
from runner_agent.control.automations_keys import TOP as TOP_FORM
from runner_agent.control.automations_keys import near_miss, squeeze
from runner_agent.control.documents import Listing, Malformed, Mapping, Node, Scalar
from runner_agent.model.frozen import dataclass


@dataclass(frozen=True, slots=True)
class _Format:
    """`name` matches the end of a path that such a file always has, `looks` judges what is in it."""

    what: str
    advice: str
    name: str
    looks: Callable[[Mapping], bool]


def recognise(path: str, text: str, root: Node | None) -> str:
    """The sentence that says which other format it is and what to do; "" if it is none that is known."""
    tree = root if isinstance(root, Mapping) else _lenient(text)
    if tree is not None and _ours(tree):
        return ""
    for one in _FORMATS:
        named = re.search(rf"(?:^|/)(?:{one.name})$", PurePath(path).as_posix(), re.IGNORECASE)
        if named or (tree is not None and one.looks(tree)):
            return f"this is {one.what}, not an automations file: {one.advice}"
    if _procfile(text):
        return f"this is {_PROCFILE.what}, not an automations file: {_PROCFILE.advice}"
    if _TOML.search(text):
        return "this is TOML; an automations file is YAML or JSON, and begins with services and tasks"
    return ""


def _procfile(text: str) -> bool:
    """`web: bundle exec rails server`, and nothing else."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = [re.match(r"([A-Za-z0-9_-]+):[ \t]*([^\s&*\[{|>!%@].*)", line) for line in lines]
    if not 0 < len(found) <= 200 or not all(found):
        return False
    pairs = [(line[1], line[2]) for line in found if line is not None]
    ours = any(squeeze(key) in {*TOP, *_PLAIN} or near_miss(key, TOP_FORM.names) for key, _ in pairs)
    return not ours and any(" " in value for _, value in pairs)


def _lenient(text: str) -> Mapping | None:
    """JSON with comments and commas too many, as editors have it."""
    if not re.match(r"\s*(?:\{|//|/\*)", text):
        return None
    from runner_agent.control.automations_json import read_json

    plain = _COMMENT.sub(lambda found: found[0] if found[0].startswith('"') else " ", text)
    plain = _COMMA.sub(lambda found: found[0] if found[0].startswith('"') else "", plain)
    try:
        root = read_json(plain)
    except Malformed:
        return None
    return root if isinstance(root, Mapping) else None


# What is never closed is taken to its end, so that nothing is looked at twice.
_STRING = r'"(?:[^"\\\n]|\\.)*(?:"|(?=\n)|\Z)'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_COMMA = re.compile(rf"{_STRING}|,(?=\s*[}}\]])")


def _keys(node: Node | None) -> set[str]:
    pairs = node.pairs if isinstance(node, Mapping) else ()
    return {key.text for key, _ in pairs if isinstance(key, Scalar)}


def _at(node: Node | None, *names: str) -> Node | None:
    """The value of the first of these keys that is there."""
    pairs = node.pairs if isinstance(node, Mapping) else ()
    found = {key.text: value for key, value in pairs if isinstance(key, Scalar)}
    return next((found[name] for name in names if name in found), None)


def _members(node: Node | None) -> tuple[Node, ...]:
    match node:
        case Mapping(pairs=pairs):
            return tuple(value for _, value in pairs)
        case Listing(items=items):
            return items
        case _:
            return ()


def _any_has(node: Node | None, names: Collection[str]) -> bool:
    return any(_keys(member) & {*names} for member in _members(node))


def _ours(tree: Mapping) -> bool:
    """An entry of it is one of ours, whatever else is wrong."""
    services = _any_has(_at(tree, "services"), ("commands", "triggeredBy", "triggered_by"))
    return services or _any_has(_at(tree, "tasks"), ("triggeredBy", "triggered_by"))


def _compose(tree: Mapping) -> bool:
    services = _at(tree, "services")
    if not isinstance(services, Mapping) or "tasks" in _keys(tree):
        return False
    return _any_has(services, _COMPOSE) and not _any_has(services, ("name", "commands"))


def _gitpod(tree: Mapping) -> bool:
    tasks = _at(tree, "tasks")
    old = {"checkoutLocation", "workspaceLocation", "additionalRepositories", "gitConfig", "jetbrains"}
    listed = isinstance(tasks, Listing) and _any_has(
        tasks, ("init", "before", "command", "openMode", "prebuild")
    )
    known = bool(_keys(tree) & {*old, "vscode", "github"}) or {"image", "ports"} <= _keys(tree)
    return known or (listed and not _vscode(tree))


def _vscode(tree: Mapping) -> bool:
    tasks = _at(tree, "tasks")
    return isinstance(tasks, Listing) and _any_has(tasks, ("label", "taskName", "problemMatcher", "type"))


def _devcontainer(tree: Mapping) -> bool:
    keys = _keys(tree)
    image, build = _at(tree, "image"), _keys(_at(tree, "build"))
    template = keys <= {"$schema", "name", "image", "build"} and "name" in keys
    least = template and (isinstance(image, Scalar) or "dockerfile" in build)
    return (least or bool(keys & _DEVCONTAINER)) and not keys & {"services", "tasks"}


def _process_compose(tree: Mapping) -> bool:
    return isinstance(_at(tree, "processes"), Mapping)


def _mprocs(tree: Mapping) -> bool:
    return isinstance(_at(tree, "procs"), Mapping)


def _workflow(tree: Mapping) -> bool:
    jobs = _at(tree, "jobs")
    return _any_has(jobs, ("steps", "runs-on", "uses"))


def _taskfile(tree: Mapping) -> bool:
    tasks = _at(tree, "tasks")
    return (
        "version" in _keys(tree) and isinstance(tasks, Mapping) and _any_has(tasks, ("cmds", "cmd", "deps"))
    )


def _kubernetes(tree: Mapping) -> bool:
    return {"apiVersion", "kind"} <= _keys(tree)


def _package(tree: Mapping) -> bool:
    return isinstance(_at(tree, "scripts"), Mapping) and not _keys(tree) & {"services", "tasks"}


_COMPOSE = (
    *("image", "build", "ports", "volumes", "environment", "env_file", "depends_on", "container_name"),
    *("networks", "expose", "healthcheck", "entrypoint", "extends", "restart", "profiles", "deploy"),
)
_DEVCONTAINER = {
    *("postCreateCommand", "postStartCommand", "postAttachCommand", "onCreateCommand", "initializeCommand"),
    *("updateContentCommand", "features", "customizations", "forwardPorts", "portsAttributes", "remoteUser"),
    *("containerUser", "remoteEnv", "containerEnv", "workspaceFolder", "workspaceMount", "dockerComposeFile"),
    *("dockerFile", "runArgs", "hostRequirements", "overrideCommand", "shutdownAction", "runServices"),
}
_EACH = "make each of its {0} an entry of services, with its command as commands.start"
_PLAIN = ("name", "title", "description")
"""Keys of many formats, and no names of processes."""
_PROCFILE = _Format("a Procfile", _EACH.format("lines"), r"procfile(?:\.[\w-]+)?", lambda _: False)
_FORMATS = (
    _Format(
        "a VS Code tasks.json",
        "make each of its tasks an entry of tasks by a reference, with its label as name; one that stays in"
        " the background is a service",
        r"\.vscode/tasks\.json",
        _vscode,
    ),
    _Format(
        "a .gitpod.yml",
        "make each init a task that lists the trigger prebuild, and each command that stays a service; image"
        " and vscode belong to devcontainer.json",
        r"\.gitpod\.ya?ml",
        _gitpod,
    ),
    _Format(
        "a devcontainer.json",
        "keep it where it is, and write an automations file beside it: what postCreateCommand and"
        " postStartCommand run are tasks that list the trigger postDevcontainerStart",
        r"\.?devcontainer\.json",
        _devcontainer,
    ),
    _Format(
        "a process-compose file",
        _EACH.format("processes"),
        r"process-compose[^/]*\.ya?ml",
        _process_compose,
    ),
    _Format(
        "a Compose file",
        "keep it, and make it a service whose commands.start is docker compose -f FILE up, and whose"
        " commands.stop is docker compose -f FILE down",
        r"(?:docker-)?compose(?:\.[\w.-]+)?\.ya?ml",
        _compose,
    ),
    _Format("an mprocs.yaml", _EACH.format("procs"), r"mprocs\.ya?ml", _mprocs),
    _Format(
        "a GitHub workflow",
        "it is run by GitHub; make the steps that the environment needs entries of tasks",
        r"\.github/workflows/[^/]+",
        _workflow,
    ),
    _Format(
        "a Taskfile",
        "make each of its tasks an entry with a name and one command, such as: task NAME",
        r"taskfile(?:\.dist)?\.ya?ml",
        _taskfile,
    ),
    _Format(
        "a Kubernetes manifest",
        "let a task apply it: kubectl apply -f FILE; begin an automations file with services and tasks",
        r"kustomization\.ya?ml",
        _kubernetes,
    ),
    _Format(
        "a package.json",
        "let tasks and services run its scripts: npm run NAME",
        r"package\.json",
        _package,
    ),
    _PROCFILE,
    _Format("a pitchfork.toml", _EACH.format("daemons"), r"pitchfork(?:\.local)?\.toml", lambda _: False),
    _Format(
        "a mise.toml",
        "make each of its tasks an entry with a name and one command, such as: mise run NAME",
        r"\.?mise(?:\.\w+)*\.toml",
        lambda _: False,
    ),
    _Format("a devenv.nix", _EACH.format("processes"), r"devenv\.nix", lambda _: False),
)
_TOML = re.compile(r"^\[{1,2}[\w.\"-]+\]{1,2}[ \t]*$", re.MULTILINE)
