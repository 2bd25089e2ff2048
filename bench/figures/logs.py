"""What a chatty command loses by being logged by the agent, against straight to a file of the same disk."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.agent import Agent, apply, await_one, running
from bench.http import Connection
from bench.line import Line
from bench.measure import Figure, Size, median

MIB = 1 << 20


def measure(size: Size) -> Iterator[Figure]:
    """Blocks of 64 KiB, below and beyond the size where old bytes are given back, and single lines."""
    rounds, lines = size.of(9, 2), size.of(200_000, 50_000)
    text = "x" * 79
    kinds = {
        "logs.blocks": (48 * MIB, "dd if=/dev/zero bs=64k count=768 status=none"),
        "logs.capped": (
            size.of(1024, 256) * MIB,
            f"dd if=/dev/zero bs=64k count={size.of(16384, 4096)} status=none",
        ),
        "logs.lines": (lines * 80, f"for ((i = 0; i < {lines}; i++)); do echo {text}; done"),
    }
    with running() as agent:
        line = Line(agent.base / "line")
        connection = agent.connect()
        services = {
            name.replace(".", "-"): {"name": name, "commands": {"start": _timed(chatter, line)}}
            for name, (_, chatter) in kinds.items()
        }
        ids = apply(connection, services)
        for name, (volume, chatter) in kinds.items():
            bare: list[float] = []
            ours: list[float] = []
            spent = _cpu_seconds(agent.pid)
            for _ in range(rounds + 1):
                bare.append(_bare(agent.base / "straight", _timed(chatter, line), line))
                ours.append(_ours(agent, connection, ids[name.replace(".", "-")], line))
            spent = (_cpu_seconds(agent.pid) - spent) / (rounds + 1)
            mib = volume / MIB
            note = f"{mib:.0f} MiB; {spent * 1000:.0f} ms of the daemon's time, start and end included"
            yield Figure(name, mib / median(ours[1:]), "MB/s", rounds, mib / median(bare[1:]), note)
        line.close()


def _timed(chatter: str, line: Line) -> str:
    told = f"echo $begun > {line.path}; echo $ended > {line.path}"
    return f"begun=$EPOCHREALTIME; {chatter}; ended=$EPOCHREALTIME; {told}"


def _bare(path: Path, script: str, line: Line) -> float:
    with path.open("ab") as file:
        subprocess.run(["bash", "-c", script], stdout=file, check=True)
    begun, ended = line.next_times(2)
    path.unlink()
    return ended - begun


def _ours(agent: Agent, connection: Connection, service_id: str, line: Line) -> float:
    connection.call("StartService", {"id": service_id})
    begun, ended = line.next_times(2)
    await_one(connection, service_id, "STOPPED")
    log = agent.state / "logs"
    for path in log.rglob("*"):
        if path.is_file():
            path.unlink()  # each round begins with a new file, as the baseline does
    return ended - begun


def _cpu_seconds(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
