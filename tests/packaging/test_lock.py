"""The locks in requirements/: whole, within the bounds of pyproject.toml, and used for every install."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").rglob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ADVICE = "run make lock"


def pins(lock: str) -> dict[str, str]:
    """Version by name, for any Python."""
    text = (ROOT / "requirements" / lock).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) ", text, re.MULTILINE))


def wanted(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for itself; an extra of ours is the extras' own business."""
    optional = PROJECT["project"]["optional-dependencies"]
    lines = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in optional[extra])]
    found = [Requirement(line) for line in lines]
    return [one for one in found if one.name != PROJECT["project"]["name"]]


BUILD = [Requirement(line) for line in PROJECT["build-system"]["requires"]]
SETS = {
    "runtime.txt": wanted(),
    "test.txt": [*wanted("test"), *BUILD],
    "dev.txt": [*wanted("test", "dev"), *BUILD],
    "build.txt": BUILD,
}


@pytest.mark.parametrize("lock", SETS)
def test_every_requirement_is_pinned_within_its_bounds(lock: str) -> None:
    pinned = pins(lock)
    missing = [str(one) for one in SETS[lock] if canonicalize_name(one.name) not in pinned]
    assert not missing, f"{missing} not in requirements/{lock}: {ADVICE}"
    outside = [
        f"{one}: {pinned[canonicalize_name(one.name)]}"
        for one in SETS[lock]
        if not one.specifier.contains(pinned[canonicalize_name(one.name)])
    ]
    assert not outside, f"{outside} in requirements/{lock}: {ADVICE}"


@pytest.mark.parametrize("lock", ["runtime.txt", "test.txt", "build.txt"])
def test_parts_hold_the_versions_of_the_whole(lock: str) -> None:
    """What is shipped is what was tested."""
    whole = pins("dev.txt")
    assert {name: version for name, version in pins(lock).items() if whole.get(name) != version} == {}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_pin_has_its_hashes_and_no_place(lock: Path) -> None:
    entries = re.split(r"\n(?=[a-z])", lock.read_text())[1:]
    assert entries
    assert [each for each in entries if not re.match(r"[a-z0-9-]+==\S+ .*\n    --hash=sha256:", each)] == []
    assert "://" not in lock.read_text()


def test_every_recipe_for_a_lock_has_one() -> None:
    recipes = sorted((ROOT / "requirements").rglob("*.in"))
    assert recipes
    assert [recipe.name for recipe in recipes if not recipe.with_suffix(".txt").exists()] == [], ADVICE


def test_everything_that_is_installed_comes_from_a_lock() -> None:
    """What the targets and CI install must be the same on any later day."""
    programs = [ROOT / "Makefile", ROOT / ".ci/run", *(ROOT / "scripts").iterdir()]
    # By hand, to see what the ends of the ranges bring.
    programs.remove(ROOT / "scripts/test-range")
    asked = [
        f"{program.name}: {line.strip()}"
        for program in programs
        if program.is_file()
        for line in program.read_text().splitlines()
        if re.search(r"\b(pip|npm) (install|wheel|download|ci)\b", line)
    ]
    assert asked, "the pattern finds nothing any more"
    locked = re.compile(r'--require-hashes|--no-build-isolation|"\$\{(locked|wanted)\[@\]\}"')
    free = [line for line in asked if not locked.search(line)]
    assert [line for line in free if not line.startswith("Makefile: PIP :=")] == []
