"""As many streams as there is time for; every secret in every disguise must stay hidden (rule 5.6).

Goes on where it was interrupted, from the first seed that the report does not hold yet:

    python -m tests.faults.redaction_trial --cases 100000000 --report bench/results/trials/redaction.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.redaction import STREAMS, seed_cases

BATCH = 400
"""Seeds to a line of the report."""


def done(report: Path) -> tuple[int, int]:
    """The first seed that the report does not hold, and the cases it holds."""
    if not report.exists():
        return 0, 0
    told = [json.loads(line) for line in report.read_text().splitlines()]
    return max((int(one["until"]) for one in told), default=0), sum(int(one["cases"]) for one in told)


def batch(first: int) -> dict[str, object]:
    """BATCH seeds, as a line of the report. `wrong` is empty if nothing was to be seen."""
    began, wrong = time.monotonic(), list[str]()
    for seed in range(first, first + BATCH):
        wrong += seed_cases(seed)
    return {
        "first": first,
        "until": first + BATCH,
        "cases": BATCH * STREAMS,
        "wrong": wrong,
        "seconds": round(time.monotonic() - began, 1),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def main() -> int:
    """Batches until the number is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="in all, those in the report included")
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()
    bad = False
    first, cases = done(options.report)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    while cases < options.cases:
        told = batch(first)
        with options.report.open("a") as file:
            file.write(json.dumps(told) + "\n")
        bad = bad or bool(told["wrong"])
        first += BATCH
        cases += BATCH * STREAMS
        print(f"{cases} cases, {'all hidden' if not told['wrong'] else told['wrong']}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
