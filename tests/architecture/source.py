"""The package read as syntax trees: every module, its place, and the full name of whatever it mentions."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[2] / "src" / "runner_agent"


@dataclass(frozen=True)
class Module:
    """One file of the package. `place` is its path below the package: `store/sqlite.py`."""

    place: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.place)

    @property
    def floor(self) -> str:
        """The package it lives in; empty for the modules beside the floors."""
        return self.place.partition("/")[0] if "/" in self.place else ""

    def within(self, *places: str) -> bool:
        """True if in `places`: a floor (`store`), a file (`kit/clock.py`) or a stem (`executors/docker`)."""
        return any(
            self.place == place or self.place.startswith((f"{place}/", f"{place}.", f"{place}_"))
            for place in places
        )

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full name of each import, wherever it stands: `from a import b` is `a.b`."""
        for node in ast.walk(self.tree):
            match node:
                case ast.Import(names=names):
                    yield from ((node.lineno, alias.name) for alias in names)
                case ast.ImportFrom(module=str(module), names=names, level=0):
                    yield from ((node.lineno, f"{module}.{alias.name}") for alias in names)
                case _:
                    pass

    def mentions(self) -> Iterator[tuple[int, str]]:
        """Line and full name of what it names: `time.time` for `t.time` after `import time as t`."""
        known = self._aliases()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name | ast.Attribute) and (parts := _dotted(node)):
                yield node.lineno, ".".join((known.get(parts[0], parts[0]), *parts[1:]))
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        return (n for n in ast.walk(self.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))

    def _aliases(self) -> dict[str, str]:
        known: dict[str, str] = {}
        for node in ast.walk(self.tree):
            match node:
                case ast.Import(names=names):
                    for alias in names:
                        first = alias.name.partition(".")[0]
                        known[alias.asname or first] = alias.name if alias.asname else first
                case ast.ImportFrom(module=str(module), names=names, level=0):
                    known.update({alias.asname or alias.name: f"{module}.{alias.name}" for alias in names})
                case _:
                    pass
        return known


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return tuple(Module(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in paths)


def _dotted(node: ast.expr) -> tuple[str, ...]:
    match node:
        case ast.Name(id=name):
            return (name,)
        case ast.Attribute(value=value, attr=attr):
            head = _dotted(value)
            return (*head, attr) if head else ()
        case _:
            return ()
