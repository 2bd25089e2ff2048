"""As many random histories as there is time for, always others; one that fails is made short.

Goes on where it was interrupted, from the first seed that the report does not hold yet:

    python -m tests.histories.trial --steps 1000000 --report bench/results/trials/histories.jsonl

One seed: --seed N prints its history, shortened, if it fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.histories.steps import LENGTH, SET_ASIDE, drawn, fault, shorter

CHUNK = 100
"""Histories to a line of the report."""
PATIENCE = 300.0
"""Seconds to make a history shorter."""


def done(report: Path) -> tuple[int, int]:
    """The first seed that the report does not hold, and the steps it holds."""
    told = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    return max((int(one["until"]) for one in told), default=SET_ASIDE), sum(int(one["steps"]) for one in told)


def chunk(first: int) -> dict[str, object]:
    """CHUNK seeds, as a line of the report. `wrong` is empty if all kept the rules."""
    began = time.monotonic()
    return {
        "first": first,
        "until": first + CHUNK,
        "steps": CHUNK * LENGTH,
        "wrong": list(findings(range(first, first + CHUNK))),
        "seconds": round(time.monotonic() - began, 1),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def findings(seeds: Sequence[int]) -> Iterator[dict[str, object]]:
    """What fails, and the shortest history found that does."""
    for seed in seeds:
        if said := fault(drawn(seed)):
            history = shorter(drawn(seed), seconds=PATIENCE)
            print(f"seed {seed}: {said}", *history, sep="\n", flush=True)
            yield {"seed": seed, "said": said, "history": [asdict(step) for step in history]}


def main() -> int:
    """Chunks until the number is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000, help="in all, those in the report included")
    parser.add_argument("--report", type=Path, help="gets a JSON line for each chunk")
    parser.add_argument("--seed", type=int, help="play this one alone, and report nothing")
    options = parser.parse_args()
    if options.seed is not None:
        return 1 if list(findings([options.seed])) else 0
    if options.report is None:
        parser.error("--report says where the lines are to go")
    bad = False
    first, steps = done(options.report)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    while steps < options.steps:
        told = chunk(first)
        with options.report.open("a") as file:
            file.write(json.dumps(told) + "\n")
        bad = bad or bool(told["wrong"])
        first += CHUNK
        steps += CHUNK * LENGTH
        print(f"{steps} steps, {'all by the rules' if not told['wrong'] else 'see above'}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
