"""Automations files in the style of real repositories, each with the verdict that it is to have.

A file's `.verdict` is `valid`, or its warnings, or its errors, one a line with line, column and path.
"""

from __future__ import annotations

from pathlib import Path

from runner_agent.control.automations import check_automations
from runner_agent.control.file_errors import FileErrors

CORPUS = Path(__file__).parent / "files" / "corpus"
FILES = sorted(path for path in CORPUS.iterdir() if path.suffix != ".verdict")


def verdict(path: Path) -> list[str]:
    """What the reader and the lints say of it."""
    try:
        _, warnings = check_automations(path.name, path.read_bytes())
    except FileErrors as refusal:
        return [f"error {one.line}:{one.column} {one.path}: {one.message}" for one in refusal.errors]
    return [f"warning {one.line}:{one.column} {one.path} {one.id}" for one in warnings] or ["valid"]


def expected(path: Path) -> list[str]:
    """The verdict it is to have."""
    return Path(f"{path}.verdict").read_text("utf-8").splitlines()


if __name__ == "__main__":  # write the verdicts anew, to be read before they are kept
    for file in FILES:
        Path(f"{file}.verdict").write_text("".join(f"{line}\n" for line in verdict(file)), "utf-8")
