"""What `doctor` finds: one thing looked at, how it is, and what to do about it."""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """Only BROKEN makes the machine unusable."""

    OK = "ok"
    NOTE = "note"  # something is not there, and not everybody needs it
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` is "" where there is nothing to do."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


def ok(check: str, found: str) -> Finding:
    """As it should be."""
    return Finding(check, Verdict.OK, found)


def remark(check: str, found: str, advice: str) -> Finding:
    """Works, with something missing."""
    return Finding(check, Verdict.NOTE, found, advice)


def broken(check: str, found: str, advice: str) -> Finding:
    """Must be mended."""
    return Finding(check, Verdict.BROKEN, found, advice)
