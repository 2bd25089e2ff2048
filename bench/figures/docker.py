"""Commands in containers: to their first instruction, twenty at once, and what their output costs.

Against `docker run` and the raw Engine API in the same run, on an Engine of the tests' own. Needs root. Not
among the subjects that are measured by default: `python -m bench docker`.
"""

import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench.agent import Agent, apply, await_one, await_phase, scratch
from bench.http import Connection, call_all, request
from bench.line import Line
from bench.measure import Figure, Size, median
from tests.support.engine import Engine, missing

IMAGE = "bash:test"
DEV = "bench-dev"
MANY = 20
MIB = 1 << 20


class DockerAgent(Agent):
    """One that is told of an Engine and of a dev container."""

    def __init__(self, base: Path, engine: Engine) -> None:
        super().__init__(base)
        self.engine = engine

    def environ(self) -> dict[str, str]:
        return super().environ() | {"DOCKER_HOST": self.engine.host, "RUNNER_AGENT_DEVCONTAINER": DEV}


def measure(size: Size) -> Iterator[Figure]:
    """Raises RuntimeError where there can be no Engine."""
    if lack := missing():
        raise RuntimeError(lack)
    with _here() as agent:
        line = Line(agent.workspace / "line")
        line.path.chmod(0o666)
        yield from _firsts(agent, line, size.of(25, 4))
        yield from _many(agent, line, size.of(5, 1))
        yield from _output(agent, line, size.of(512, 64), size.of(5, 1))
        line.close()


@contextmanager
def _here() -> Generator[DockerAgent]:
    engine = Engine()
    try:
        engine.start()
        engine.image(IMAGE)
        with scratch() as base:
            agent = DockerAgent(base, engine)
            binds = {"Binds": [f"{agent.workspace}:{agent.workspace}"]}
            engine.container(DEV, {"Image": IMAGE, "Cmd": ["sleep", "100000"]}, binds)
            try:
                agent.start()
                yield agent
            finally:
                agent.close()
    finally:
        engine.close()


def _firsts(agent: DockerAgent, line: Line, times: int) -> Iterator[Figure]:
    """Interleaved, one at a time, each from the request to its command's first instruction."""
    connection = agent.connect()
    docker = {"runsOn": {"docker": {"image": IMAGE}}}
    start = {"commands": {"start": f"{line.tell}; exec sleep 1000"}}
    ids = apply(connection, {"box": {"name": "b", **start, **docker}, "dev": {"name": "d", **start}})
    ways: dict[str, Callable[[], None]] = {
        "cli": lambda: _docker_run(agent, line.tell),
        "api": lambda: _created(agent, line.tell),
        "box": lambda: _called(connection, ids["box"]),
        "exec": lambda: _docker_exec(agent, line.tell),
        "dev": lambda: _called(connection, ids["dev"]),
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(times + 1):
        for way, begin in ways.items():
            began = time.time()
            begin()
            if number:
                took[way].append((line.next() - began) * 1000)
            else:
                line.next()
            if way in ids:
                connection.call("StopService", {"id": ids[way]})
                await_one(connection, ids[way], "STOPPED", "FAILED")
            agent.engine.remove("bench-bare")
    api, cli, bare = (median(took[way]) for way in ("api", "cli", "exec"))
    yield Figure("docker.first", median(took["box"]), "ms", times, api, f"`docker run` takes {cli:.0f} ms")
    yield Figure("docker.dev_first", median(took["dev"]), "ms", times, bare, "against `docker exec`")


def _many(agent: DockerAgent, line: Line, rounds: int) -> Iterator[Figure]:
    connection = agent.connect()
    more = {"commands": {"start": f"{line.tell}; exec sleep 1000"}, "runsOn": {"docker": {"image": IMAGE}}}
    ids = apply(connection, {f"many{n}": {"name": "m", **more} for n in range(MANY)})
    names = [f"bench-many-{n}" for n in range(MANY)]
    wanted = [ids[f"many{n}"] for n in range(MANY)]
    bare: list[float] = []
    ours: list[float] = []
    with ThreadPoolExecutor(MANY) as pool:
        for _ in range(rounds):
            began = time.time()
            list(pool.map(_created, [agent] * MANY, [line.tell] * MANY, names))
            bare.append((max(line.next_times(MANY)) - began) * 1000)
            list(pool.map(agent.engine.remove, names))
            began = time.time()
            call_all([connection], [request("StartService", {"id": one}) for one in wanted])
            ours.append((max(line.next_times(MANY)) - began) * 1000)
            call_all([connection], [request("StopService", {"id": one}) for one in wanted])
            await_phase(connection, "STOPPED", 0.05)
    yield Figure("docker.many", median(ours), "ms", rounds, median(bare), f"{MANY} containers at once")


def _output(agent: DockerAgent, line: Line, blocks: int, rounds: int) -> Iterator[Figure]:
    """Blocks of 64 KiB, timed by the command itself."""
    chatter = f"dd if=/dev/zero bs=65536 count={blocks} 2>/dev/null"
    script = f"{line.tell}; {chatter}; {line.tell}"
    connection = agent.connect()
    more = {"commands": {"start": script}}
    docker = {"runsOn": {"docker": {"image": IMAGE}}}
    ids = apply(connection, {"boxlog": {"name": "b", **more, **docker}, "devlog": {"name": "d", **more}})
    speeds: dict[str, list[float]] = {"bare": [], "boxlog": [], "devlog": []}
    volume = blocks * 65536 / MIB
    for _ in range(rounds):
        _created(agent, script)
        first, last = line.next_times(2)
        speeds["bare"].append(volume / (last - first))
        agent.engine.remove("bench-bare")
        for one in ids.keys() & speeds.keys():
            connection.call("StartService", {"id": ids[one]})
            first, last = line.next_times(2)
            speeds[one].append(volume / (last - first))
            await_one(connection, ids[one], "STOPPED", "FAILED")
    bare = median(speeds["bare"])
    note = "against the Engine's json-file log"
    yield Figure("docker.output", median(speeds["boxlog"]), "MB/s", rounds, bare, note)
    yield Figure("docker.dev_output", median(speeds["devlog"]), "MB/s", rounds, bare, note)


def _called(connection: Connection, service_id: str) -> None:
    connection.call("StartService", {"id": service_id})


def _created(agent: DockerAgent, script: str, name: str = "bench-bare") -> None:
    config = {"Image": IMAGE, "Cmd": ["bash", "-c", f"{script}; exec sleep 1000"]}
    agent.engine.container(name, config, {"Binds": [f"{agent.workspace}:{agent.workspace}"]})


def _docker_run(agent: DockerAgent, script: str) -> None:
    mount = f"{agent.workspace}:{agent.workspace}"
    more = ("--detach", "--init", "--network", "host", "--volume", mount, "--name", "bench-bare")
    _docker(agent, "run", *more, IMAGE, "bash", "-c", f"{script}; exec sleep 1000")


def _docker_exec(agent: DockerAgent, script: str) -> None:
    _docker(agent, "exec", DEV, "bash", "-c", script)


def _docker(agent: DockerAgent, *arguments: str) -> None:
    subprocess.run(["docker", *arguments], env=agent.environ(), check=True, capture_output=True)
