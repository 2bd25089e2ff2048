"""The generated parts of docs/reliability.md: what long trials have reached, from the lines they left."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TRIALS = Path(__file__).resolve().parent.parent / "bench" / "results" / "trials"


def redaction() -> str:
    """How many streams have been tried, and what was to be seen in them."""
    batches = list(_lines("redaction"))
    if not batches:
        return "No trial has been made yet."
    cases = sum(int(one["cases"]) for one in batches)
    wrong = sum(len(one["wrong"]) for one in batches)
    hours = sum(float(one["seconds"]) for one in batches) / 3600
    newest = max(str(one["date"])[:10] for one in batches)
    return (
        "| streams | a secret was seen, or text was changed | hours | newest |\n|---|---|---|---|\n"
        f"| {cases:,} | {wrong} times | {hours:.1f} | {newest} |"
    )


def _lines(trial: str) -> Iterator[dict[str, Any]]:
    path = TRIALS / f"{trial}.jsonl"
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())
