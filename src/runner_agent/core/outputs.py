"""Outputs of a run: how entries merge, and who wrote last (rule 5.3)."""

from collections.abc import Mapping


def merged(present: Mapping[str, str], entries: Mapping[str, str]) -> Mapping[str, str]:
    """`present` with `entries` written over it; "" unsets; the same object back when nothing changes."""
    result = {key: value for key, value in {**present, **entries}.items() if value}
    return present if result == present else result


def left_standing(posted: Mapping[str, str], entries: Mapping[str, str]) -> Mapping[str, str]:
    """What of what was posted still counts, now that the run itself has written `entries` after it."""
    return {key: value for key, value in posted.items() if key not in entries}
