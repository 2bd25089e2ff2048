"""Tables for people, from the lines of JSON that runs have left."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from bench.budgets import BUDGETS
from bench.measure import RESULTS, Figure

SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "speed": ("request.", "ending.", "fleet.", "plans.", "reads.", "api.", "command."),
    "units": ("systemd.",),
    "containers": ("docker.",),
    "cost": ("cold.", "memory.", "idle.", "logs.", "redaction."),
}


class Row(NamedTuple):
    """One line of a table."""

    title: str
    value: str
    baseline: str
    ratio: str
    budget: str
    verdict: str


HEADS = Row("figure", "value", "bare", "ratio", "budget", "")


def row(name: str, value: float, unit: str, baseline: float, note: str = "") -> Row:
    """A figure beside its budget."""
    budget = BUDGETS[name]
    ratio = value / baseline if baseline else 0.0
    verdict = "" if budget.met is None else "met" if budget.met(value, ratio) else "not met"
    return Row(
        f"{budget.title}{f' ({note})' if note else ''}",
        f"{_number(value)} {unit}",
        f"{_number(baseline)} {unit}" if baseline else "",
        f"{ratio:.2f}" if baseline else "",
        budget.text,
        verdict,
    )


def figures_table(figures: Iterable[Figure]) -> str:
    """For a terminal."""
    rows = [HEADS, *(row(one.name, one.value, one.unit, one.baseline, one.note) for one in figures)]
    widths = [max(len(one[column]) for one in rows) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(one, widths, strict=True)).rstrip() for one in rows
    )


def newest() -> dict[str, dict[str, Any]]:
    """The last full measurement of each figure."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(RESULTS.glob("*.jsonl")):
        for text in path.read_text().splitlines():
            line = json.loads(text)
            if not line["quick"] and line["name"] in BUDGETS:
                found[line["name"]] = line
    return found


def speed_table() -> str:
    """Markdown: how fast it is."""
    return _markdown("speed")


def units_table() -> str:
    """Markdown: how fast it is as a service of systemd."""
    return _markdown("units")


def containers_table() -> str:
    """Markdown: commands in containers."""
    return _markdown("containers")


def cost_table() -> str:
    """Markdown: what it costs."""
    return _markdown("cost")


def circumstances() -> str:
    """Markdown: where and when the newest figures were taken."""
    taken = newest().values()
    if not taken:
        return "Nothing has been measured yet: run `python -m bench`."
    places = {f"{line['cpus']} processors, Linux {line['kernel']}, Python {line['python']}" for line in taken}
    busy = max(float(line["busy"]) for line in taken)
    return (
        f"Measured on {'; '.join(sorted(places))}, {min(line['date'][:10] for line in taken)} to "
        f"{max(line['date'][:10] for line in taken)}. While a subject was measured, the machine was at most "
        f"{busy:.0%} busy, our own work included."
    )


def _markdown(subject: str) -> str:
    lines = [*_row_lines(HEADS), "|" + "---|" * len(HEADS)]
    found = newest()
    for name in BUDGETS:
        if name.startswith(SUBJECTS[subject]) and name in found:
            line = found[name]
            lines += _row_lines(row(name, line["value"], line["unit"], line["baseline"], line["note"]))
    return "\n".join(lines)


def _row_lines(cells: Row) -> Iterator[str]:
    yield "| " + " | ".join(cells) + " |"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
