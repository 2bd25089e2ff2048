"""How big a thing may be, and what it owes its reader."""

from __future__ import annotations

import ast

from tests.architecture.source import Module, modules

MODULE_LINES = 300
FUNCTION_LINES = 40
REASON = "# long:"  # then the reason; in the function or right above it, or anywhere in an over-long module
NAMES_WITHOUT_AN_IDEA = {"utils", "util", "helpers", "common", "manager", "misc"}


def test_modules_hold_one_idea() -> None:
    long = [m.place for m in modules() if len(m.text.splitlines()) > MODULE_LINES and REASON not in m.text]
    assert not long, f"{long}: over {MODULE_LINES} lines: split, or say why in a comment: {REASON} ..."


def test_functions_are_short_or_say_why() -> None:
    long = [found for module in modules() for found in _long_functions(module)]
    assert not long, f"{long}: over {FUNCTION_LINES} lines: say why in a comment: {REASON} ..."


def test_no_module_is_named_for_nothing() -> None:
    assert [
        m.place for m in modules() if m.place.rpartition("/")[2].removesuffix(".py") in NAMES_WITHOUT_AN_IDEA
    ] == []


def test_every_module_says_its_idea() -> None:
    silent = [m.place for m in modules() if not (ast.get_docstring(m.tree) or "").splitlines()[:1]]
    assert silent == []


def test_packages_are_charters() -> None:
    """A package's `__init__` says what may live there and imports nothing: imports cost start time."""
    inits = [m for m in modules() if m.place.endswith("/__init__.py")]
    assert inits
    assert [m.place for m in inits if len(m.tree.body) != 1] == []


def test_every_folder_is_a_package() -> None:
    places = {m.place for m in modules()}
    folders = {place.rpartition("/")[0] for place in places} - {""}
    assert sorted(f for f in folders if f"{f}/__init__.py" not in places) == []


def test_the_measure_of_functions_can_fail() -> None:
    body = "def f():\n" + "    x = 1\n" * FUNCTION_LINES
    assert _long_functions(Module("kit/x.py", body)) == ["kit/x.py:1: f has 41 lines"]
    assert _long_functions(Module("kit/x.py", f"{REASON} a table\n{body}")) == []


def _long_functions(module: Module) -> list[str]:
    lines = module.text.splitlines()
    found: list[str] = []
    for function in module.functions():
        first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
        last = function.end_lineno or first
        length = last - function.lineno + 1
        excused = any(REASON in line for line in lines[max(0, first - 2) : last])
        if length > FUNCTION_LINES and not excused:
            found.append(f"{module.place}:{function.lineno}: {function.name} has {length} lines")
    return found
