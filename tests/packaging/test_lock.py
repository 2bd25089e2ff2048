"""packaging/requirements.txt holds all that the agent needs, as pyproject.toml wants it."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
ADVICE = "run scripts/lock"


def pins() -> dict[str, str]:
    text = (ROOT / "packaging/requirements.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", text, re.MULTILINE))


def wanted() -> list[Requirement]:
    """By pyproject.toml, and by whatever is wanted by it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: dict[str, Requirement] = {}
    ahead = [Requirement(line) for line in project["dependencies"]]
    while ahead:
        one = ahead.pop()
        if (one.marker is not None and not one.marker.evaluate({"extra": ""})) or str(one) in found:
            continue
        found[str(one)] = one
        ahead += [Requirement(line) for line in metadata.requires(one.name) or []]
    return list(found.values())


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    pinned = pins()
    requirements = wanted()
    assert requirements
    missing = [str(one) for one in requirements if canonicalize_name(one.name) not in pinned]
    assert not missing, f"{missing} not pinned: {ADVICE}"
    outside = [
        f"{one}: {pinned[canonicalize_name(one.name)]}"
        for one in requirements
        if not one.specifier.contains(pinned[canonicalize_name(one.name)])
    ]
    assert not outside, f"{outside}: {ADVICE}"


def test_nothing_is_pinned_that_nobody_wants() -> None:
    assert set(pins()) - {canonicalize_name(one.name) for one in wanted()} == {"pip"}, ADVICE


def test_every_pin_has_its_hashes() -> None:
    text = (ROOT / "packaging/requirements.txt").read_text()
    entries = re.split(r"\n(?=[a-z])", text.partition("\n")[2])
    assert len([each for each in entries if "==" in each]) == len(pins())
    assert [each for each in entries if "==" in each and "--hash=sha256:" not in each] == []
