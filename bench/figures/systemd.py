"""The agent as a unit, on a machine with a real systemd: from power-on to ready and to a service's first
instruction, and from one agent to the next. By systemd's own clock.

Needs root. Not among the subjects that are measured by default: `python -m bench systemd`.
"""

import json
import time
from collections.abc import Iterator

from bench.measure import Figure, Size, median
from tests.support.packages import clean_root, wheels
from tests.support.systemd import Machine, missing
from tests.systemd.installed import AGENT, LAUNCHER, PREFIX, WORKSPACE, Installed, install_wheel

SERVICES = 20
_BARE = """\
import os, socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
    one.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
"""


def measure(size: Size) -> Iterator[Figure]:
    """One machine, booted several times. Raises RuntimeError where none can be."""
    if lack := missing():
        raise RuntimeError(lack)
    machine = Machine(clean_root())
    try:
        machine.boot()
        install_wheel(machine, wheels())
        here = Installed(machine)
        here.write(f"{WORKSPACE}/.ona/automations.yaml", json.dumps(_automations()))
        here.install()
        bare = median([_bare(machine) for _ in range(size.of(9, 3))])
        yield from _boots(here, size.of(9, 2), bare)
        yield from _successions(here, size.of(9, 2))
    finally:
        machine.close()


def _automations() -> dict[str, object]:
    at_boot = {"start": f"echo $EPOCHREALTIME > {WORKSPACE}/began; exec sleep 1000"}
    first = {"name": "first", "triggeredBy": ["postMachineStart"], "commands": at_boot}
    return {"services": {"first": first}}


def _boots(here: Installed, times: int, bare: float) -> Iterator[Figure]:
    ready: list[float] = []
    began: list[float] = []
    for _ in range(times):
        here.machine.inside(f"{WORKSPACE}/began").unlink(missing_ok=True)
        here.machine.reboot()
        here.await_agent()
        here.until(lambda: here.read(f"{WORKSPACE}/began").endswith("\n"), "the first instruction")
        power_on = _at(here, LAUNCHER, "InactiveExit")  # the first of our units
        ready.append(_at(here, AGENT, "ActiveEnter") - power_on)
        since = float(here.read(f"{WORKSPACE}/began")) - time.time() + time.monotonic()
        began.append(since * 1000 - power_on)
    yield Figure("systemd.ready", median(ready), "ms", times, bare, "launcher's unit included")
    yield Figure("systemd.began", median(began), "ms", times, bare)


def _successions(here: Installed, times: int) -> Iterator[Figure]:
    service = {"name": "s", "commands": {"start": "exec sleep 1000"}}
    here.apply({f"s{number}": service for number in range(SERVICES)})
    for number in range(SERVICES):
        here.cli("service", "start", f"s{number}", "--wait")
    for verb in ("restart", "reload"):
        took: list[float] = []
        for _ in range(times):
            begun = time.perf_counter()
            here.machine.systemctl(verb, AGENT)
            took.append((time.perf_counter() - begun) * 1000)
        yield Figure(f"systemd.{verb}", median(took), "ms", times, note=f"{SERVICES} services up")


def _bare(machine: Machine) -> float:
    """An interpreter as a unit, that says it is ready and does nothing else: ms."""
    python = (f"{PREFIX}/bin/python", "-I", "-S", "-c", _BARE)
    begun = time.perf_counter()
    machine.run("systemd-run", "--quiet", "--collect", "--property=Type=notify", *python)
    return (time.perf_counter() - begun) * 1000


def _at(here: Installed, unit: str, what: str) -> float:
    """When a unit came into a state, in ms of the monotonic clock."""
    return int(here.machine.shows(unit, f"{what}TimestampMonotonic")) / 1000
