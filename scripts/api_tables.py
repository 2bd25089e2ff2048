"""The tables of docs/api.md, from the method table and the comments of proto/, read as text."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from runner_agent.api.errors import CODES, STATUS, Code

ROOT = Path(__file__).resolve().parent.parent
METHODS = ROOT / "src/runner_agent/api/methods.py"
PROTO = ROOT / "proto"

_EFFECTS = {"Read": "reads", "Write": "writes", "Watch": "streams"}
_SERVICE = re.compile(r"^service (\w+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_RPC = re.compile(r"((?:^ *//[^\n]*\n)*)^ *rpc (\w+)\((\w+)\) returns \((?:stream )?(\w+)\)", re.MULTILINE)


class Rpc(NamedTuple):
    """One method as proto/ describes it."""

    text: str
    request: str
    response: str


def methods() -> str:
    """A table for each service."""
    described = dict(_described())
    parts: list[str] = []
    last = ""
    for effect, service, name in _rows():
        if service != last:
            parts += [
                "",
                f"### {service}",
                "",
                "| method | | what it does | request | response |",
                "|---" * 5 + "|",
            ]
            last = service
        rpc = described[f"{service}/{name}"]
        parts.append(f"| `{name}` | {effect} | {rpc.text} | `{rpc.request}` | `{rpc.response}` |")
    return "\n".join(parts)


def errors() -> str:
    """Codes, in the order of the enumeration, with what raises them."""
    causes: dict[Code, list[str]] = {}
    for error, code in CODES.items():
        first, *_ = re.split(r"[.;] |\.?\n", error.__doc__ or "")
        causes.setdefault(code, []).append(first.rstrip("."))
    causes.setdefault(Code.UNAUTHENTICATED, []).append("No token, or a wrong one")
    causes.setdefault(Code.DEADLINE_EXCEEDED, []).append("Not done within the time the client gave")
    causes.setdefault(Code.UNIMPLEMENTED, []).append("No such method")
    causes.setdefault(Code.OUT_OF_RANGE, []).append("A log has no bytes there (HTTP 416)")
    causes.setdefault(Code.INTERNAL, []).append("A defect; the agent's log says more")
    rows = ["| code | HTTP | when |", "|---|---|---|"]
    rows += [
        f"| `{code.value}` | {STATUS[code]} | {'; '.join(causes[code])} |" for code in Code if code in causes
    ]
    return "\n".join(rows)


def _rows() -> Iterator[tuple[str, str, str]]:
    """Effect, service and name of each row of the method table, in its order."""
    tree = ast.parse(METHODS.read_text())
    names: dict[str, str] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                names[name] = text
            case ast.AnnAssign(target=ast.Name(id="METHODS"), value=ast.Tuple(elts=rows)):
                yield from (_row(row, names) for row in rows)
            case _:
                pass


def _row(row: ast.expr, names: dict[str, str]) -> tuple[str, str, str]:
    match row:
        case ast.Call(func=ast.Name(id=kind), args=[ast.Name(id=service), ast.Constant(value=str(name)), *_]):
            return _EFFECTS[kind], names[service], name
        case _:
            raise ValueError(f"cannot read this row of {METHODS}: {ast.unparse(row)}")


def _described() -> Iterator[tuple[str, Rpc]]:
    """By `package.Service/Method`."""
    for path in sorted(PROTO.rglob("*.proto")):
        text = path.read_text()
        package = re.search(r"^package ([\w.]+);", text, re.MULTILINE)
        for service, body in _SERVICE.findall(text):
            for comment, name, request, response in _RPC.findall(body):
                told = " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())
                prefix = package[1] if package else ""
                yield f"{prefix}.{service}/{name}", Rpc(told.replace("|", "\\|"), request, response)
