"""Figures: what one measurement found, under which circumstances, as a line of JSON."""

import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"


class Size(NamedTuple):
    """How much is measured."""

    quick: bool

    def of(self, full: int, quick: int) -> int:
        """The one or the other."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `baseline`: what the bare way took in the same run, 0 where there is none to compare with.

    Units: ms, MiB, MB/s, % (of one core). `n`: trials behind it. `note`: what else belongs to it, in short.
    """

    name: str
    value: float
    unit: str
    n: int
    baseline: float = 0.0
    note: str = ""

    @property
    def ratio(self) -> float:
        """Value over baseline; 0 without one."""
        return self.value / self.baseline if self.baseline else 0.0


def quantile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share of them does not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(samples: Sequence[float]) -> float:
    """The middle one."""
    return quantile(samples, 0.5)


# ---------------------------------------------------------------- circumstances


def commit() -> str:
    """Of the sources measured, with a + where they differ from it."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "src"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return f"{head}+" if changed else head


def machine() -> dict[str, str | int]:
    """What the numbers depend on."""
    return {"cpus": os.cpu_count() or 0, "kernel": platform.release(), "python": platform.python_version()}


class Busy:
    """How much of the machine was in use while a subject was measured: by whom, it cannot tell."""

    def __init__(self) -> None:
        self._total, self._idle = _jiffies()

    def share(self) -> float:
        """Of all processors, since it was made."""
        total, idle = _jiffies()
        return 1 - (idle - self._idle) / max(1, total - self._total)


def _jiffies() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return sum(fields[:8]), fields[3] + fields[4]


def fsync_ms(directory: Path, times: int = 20) -> float:
    """What one small append costs on this disk until it is safe: the median, in ms."""
    samples: list[float] = []
    path = directory / "fsync-trial"
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(b"x" * 4096)
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            samples.append((time.perf_counter() - begun) * 1000)
    path.unlink()
    return median(samples)


def append(subject: str, figures: Sequence[Figure], facts: dict[str, object]) -> None:
    """Add the figures of one run to the subject's file."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{subject}.jsonl").open("a") as file:
        for figure in figures:
            told = {
                key: round(value, 4) if isinstance(value, float) else value
                for key, value in asdict(figure).items()
            }
            line = {**told, "ratio": round(figure.ratio, 3), **facts, "date": date}
            file.write(json.dumps(line) + "\n")
