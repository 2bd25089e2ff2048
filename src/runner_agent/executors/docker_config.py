"""What a run's container is made of: image, script, environment, mounts, labels."""

from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from runner_agent.executors.base import RunRequest
from runner_agent.executors.scripts import from_file, way
from runner_agent.launcher import box
from runner_agent.model.errors import CannotStart
from runner_agent.model.ids import RunId
from runner_agent.model.specs import InDocker

ENVIRONMENT, REFERENCE, RUN, ROLE = (
    f"runner-agent.{name}" for name in ("environment", "reference", "run", "role")
)
"""Labels."""

_OWN = (
    *("GITPOD_ENVIRONMENT_ID", "GITPOD_OUTPUT"),
    *("RUNNER_AGENT_SOCKET", "RUNNER_AGENT_REFERENCE", "RUNNER_AGENT_RUN_ID"),
)
_FOR_INIT = "TINI_KILL_PROCESS_GROUP"
"""Has the container's init hand signals on to all of the command; the command gets its own value, if any."""
_READ = (box.SERVE, box.COMMAND)
_OOM_SCORE = 300


def container_name(run_id: RunId) -> str:
    """Made of the run's id, so that it cannot be made twice."""
    return f"runner-agent-{run_id}"


def is_ours(names: object, run_id: str) -> bool:
    """Has the run's container these names? Labels alone are no proof: an image committed from it has them."""
    return isinstance(names, list) and f"/{container_name(RunId(run_id))}" in names


def container_config(
    request: RunRequest, environment_id: str, workspace: Path, shared: Path, environ: Mapping[str, str]
) -> dict[str, object]:
    """As the Engine takes it. `shared` is the run's box; in `environ` a KEY without a value finds it."""
    runs_on = _docker(request)
    place = box.place(request.run_id)
    env = _environment(request, runs_on, environ)
    return {
        "Image": runs_on.image,
        # Not the script itself: whoever looks for processes by their arguments would find its keepers.
        "Entrypoint": ["/bin/sh", f"{place}/{box.SERVE}"],
        "Cmd": [],
        "Env": [*_items(env | {_FOR_INIT: "1"})],
        "WorkingDir": str(workspace),
        "Healthcheck": {"Test": ["NONE"]},  # the image's own would be processes that nobody asked for
        "Labels": {
            ENVIRONMENT: environment_id,
            REFERENCE: request.reference,
            RUN: request.run_id,
            ROLE: request.role.value,
        },
        "HostConfig": {
            "Init": True,
            "NetworkMode": "host",
            "RestartPolicy": {"Name": "no"},
            "AutoRemove": False,
            "OomScoreAdj": _OOM_SCORE,
            # Of the command nothing goes there; what its container itself has to say is little.
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "64k", "max-file": "1"}},
            "Mounts": [
                _mount(str(workspace), str(workspace)),
                _mount(str(request.output), str(request.output)),
                _mount(str(shared), place),
                *(_mount(f"{shared}/{name}", f"{place}/{name}", ReadOnly=True) for name in _READ),
            ],
        },
    }


def box_texts(request: RunRequest, environ: Mapping[str, str]) -> dict[str, str]:
    """What is read in the container: the script, and how it is run."""
    place = box.place(request.run_id)
    file = f"{place}/{box.COMMAND}"
    own = _environment(request, _docker(request), environ).get(_FOR_INIT)
    init = f"unset {_FOR_INIT}" if own is None else f"export {_FOR_INIT}={quote(own)}"
    bash, sh = (
        quote(from_file(file, shell) if way(request.script, shell, request.role) else request.script)
        for shell in ("bash", "sh")
    )
    return {box.SERVE: box.serve(place, bash, sh, init), box.COMMAND: request.script}


def _docker(request: RunRequest) -> InDocker:
    match request.runs_on:
        case InDocker() as runs_on:
            return runs_on
        case other:
            raise CannotStart(f"runsOn {other} is none of Docker")


def _environment(request: RunRequest, runs_on: InDocker, environ: Mapping[str, str]) -> dict[str, str | None]:
    """Later wins (rule 5.2). A KEY without a value has ours, or is unset, as with `docker run -e KEY`."""
    found: dict[str, str | None] = dict(request.env)
    for item in runs_on.environment:
        name, given, value = item.partition("=")
        found[name] = value if given else request.env.get(name, environ.get(name))
    found |= {name: request.env[name] for name in _OWN if name in request.env}
    found["RUNNER_AGENT_RUN_ID"] = request.run_id
    return found


def _items(env: Mapping[str, str | None]) -> list[str]:
    return [name if value is None else f"{name}={value}" for name, value in env.items()]


def _mount(source: str, target: str, **more: object) -> dict[str, object]:
    return {"Type": "bind", "Source": source, "Target": target, **more}
