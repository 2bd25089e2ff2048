"""Rules 1.5 and 7.4 under SIGKILL: what was acknowledged is there, and no version is ever given out twice."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from runner_agent.store.base import FIRST_REVISION
from runner_agent.store.sqlite import SqliteStore

HAMMER = Path(__file__).with_name("hammer.py")


def hammer(path: Path, seconds: float) -> list[tuple[str, int, int]]:
    """Let it write this long after its first acknowledgement, kill it, return what it acknowledged."""
    with subprocess.Popen([sys.executable, str(HAMMER), str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            first = child.stdout.readline()
            time.sleep(seconds)  # the moment of death is the one thing here that is left to chance
        finally:
            child.send_signal(signal.SIGKILL)
        lines = (first + child.stdout.read()).splitlines(keepends=True)
    whole = [line.split() for line in lines if line.endswith(b"\n")]
    return [(id_.decode(), int(number), int(version)) for id_, number, version in whole]


async def rounds(path: Path, kills: int, chance: random.Random) -> None:
    numbers: Counter[str] = Counter()
    newest = int(FIRST_REVISION)
    for _ in range(kills):
        acknowledged = hammer(path, chance.uniform(0, 0.06))
        assert acknowledged, "the hammer could not start"
        versions = [version for _, _, version in acknowledged]
        assert len(versions) == len(set(versions)), "no version twice"
        for writer in {id_ for id_, _, _ in acknowledged}:
            own = [version for id_, _, version in acknowledged if id_ == writer]
            assert own == sorted(own), "a record's versions grow"
        assert min(versions) > newest, "no version of an earlier life is used again"
        newest = max(versions)
        told = {id_: (number, version) for id_, number, version in acknowledged}
        for id_, (number, _) in told.items():
            assert number > numbers[id_], "no acknowledged write was undone"
            numbers[id_] = number
        if chance.random() < 0.3:
            continue  # the next life finds the file as this death has left it

        store = SqliteStore(path)
        found = {str(service.id): service for service in store.services()}
        for id_, (number, version) in told.items():
            kept = int(found[id_].status.failure_message)
            assert kept >= number
            assert found[id_].status_version >= version
            assert (kept == number) == (found[id_].status_version == version)
        assert store.revision >= max(service.status_version for service in found.values())
        numbers.update({id_: int(it.status.failure_message) - numbers[id_] for id_, it in found.items()})
        newest = int(store.revision)
        await store.aclose()


@pytest.mark.timeout(120)
async def test_twenty_kills(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    await rounds(tmp_path / "runner.db", 20, random.Random(seed))


@pytest.mark.heavy
@pytest.mark.timeout(1200)
async def test_five_hundred_kills(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    await rounds(tmp_path / "runner.db", 500, random.Random(seed))
