"""The generated parts of docs/reliability.md: what long trials have reached, from the lines they left."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from tests.faults.failpoints import points

TRIALS = Path(__file__).resolve().parent.parent / "bench" / "results" / "trials"
NONE_YET = "No trial has been made yet."


def redaction() -> str:
    """How many streams have been tried, and what was to be seen in them."""
    batches = list(_lines("redaction"))
    if not batches:
        return NONE_YET
    cases = sum(int(one["cases"]) for one in batches)
    wrong = sum(len(one["wrong"]) for one in batches)
    hours = sum(float(one["seconds"]) for one in batches) / 3600
    newest = max(str(one["date"])[:10] for one in batches)
    return (
        "| streams | a secret was seen, or text was changed | hours | newest |\n|---|---|---|---|\n"
        f"| {cases:,} | {wrong} times | {hours:.1f} | {newest} |"
    )


def kills() -> str:
    """How often an agent was killed, and what was lost."""
    trials = list(_lines("kills"))
    if not trials:
        return NONE_YET
    dead, wishes, runs, versions = (
        sum(int(one[name]) for one in trials) for name in ("kills", "wishes", "runs", "versions")
    )
    wrong = sum(len(one["wrong"]) for one in trials)
    return (
        "| kills | wishes | runs | versions seen | promises broken |\n|---|---|---|---|---|\n"
        f"| {dead:,} | {wishes:,} | {runs:,} | {versions:,} | {wrong} |"
    )


def failpoints() -> str:
    """How many deaths, errors and delays were tried in each kind of process; the newest of each case."""
    newest = {(one["scene"], one["act"]): one for one in _lines("failpoints")}
    if not newest:
        return NONE_YET
    roles = points()
    sizes = Counter(roles.values())
    rows: dict[str, Counter[str]] = {role: Counter() for role in sizes}
    for (_, act), one in newest.items():
        point, _, what = act.partition("=")
        if point in roles and one["fired"]:
            row = rows[roles[point]]
            row[what.partition("@")[0].partition(":")[0]] += 1
            row["wrong"] += bool(one["wrong"])
    lines = [
        f"| {role} | {sizes[role]} | {row['die']} | {row['error']} | {row['delay']} | {row['wrong']} |"
        for role, row in rows.items()
    ]
    return "\n".join(
        ["| in | points | deaths | errors | delays | promises broken |", "|---|---|---|---|---|---|", *lines]
    )


def soak() -> str:
    """What each long life came to."""
    verdicts = [one for one in _lines("soak") if "growth" in one]
    if not verdicts:
        return NONE_YET
    units = {"daemon_rss": "kB", "launcher_rss": "kB", "daemon_fds": "", "files": "", "database": "kB"}
    lines = [
        "| hours | steps | agents | growth in 1,000 steps: agent, launcher, descriptors, files, database |",
        "|---|---|---|---|",
    ]
    for one in verdicts:
        growth = ", ".join(f"{one['growth'][name]:.1f} {unit}".strip() for name, unit in units.items())
        lines.append(f"| {float(one['seconds']) / 3600:.2f} | {one['steps']:,} | {one['lives']} | {growth} |")
    return "\n".join(lines)


def crowd() -> str:
    """How long the reads of the newest crowd waited, and what the agent spent for it."""
    trials = list(_lines("crowd"))
    if not trials:
        return NONE_YET
    last, wrong = trials[-1], sum(len(one["wrong"]) for one in trials)
    table = {
        "seconds": last["seconds"],
        "requests a second": last["requests_s"],
        "commands started a second": last["starts_s"],
        "reads timed": f"{last['reads']:,}",
        "p50": f"{last['p50_ms']} ms",
        "p99": f"{last['p99_ms']} ms",
        "slowest": f"{last['max_ms']} ms",
        "processors: agent": last["agent_cpu"],
        "clients": last["crowd_cpu"],
        "wrong": wrong,
    }
    return "\n".join(
        f"| {' | '.join(map(str, row))} |" for row in (table, ["---"] * len(table), table.values())
    )


def histories() -> str:
    """How far one has looked for histories that break a rule, and since when there was none."""
    chunks = list(_lines("histories"))
    if not chunks:
        return NONE_YET
    clean = list(takewhile(lambda one: not one["wrong"], reversed(chunks)))
    steps, since = (sum(int(one["steps"]) for one in some) for some in (chunks, clean))
    found = sum(len(one["wrong"]) for one in chunks)
    hours = sum(float(one["seconds"]) for one in chunks) / 3600
    return (
        "| steps | histories that failed | steps since the last | hours | newest |\n|---|---|---|---|---|\n"
        f"| {steps:,} | {found} | {since:,} | {hours:.1f} | {chunks[-1]['date'][:10]} |"
    )


def mutations() -> str:
    """Which defects the histories saw, and as what."""
    newest = {one["name"]: one for one in _lines("mutations")}
    if not newest:
        return NONE_YET
    lines = [
        f"| {one['name']} | {one['file']} | {one['caught'] or '**nothing**'} |" for one in newest.values()
    ]
    return "\n".join(["| defect | in | what was seen first |", "|---|---|---|", *lines])


def _lines(trial: str) -> Iterator[dict[str, Any]]:
    path = TRIALS / f"{trial}.jsonl"
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())
