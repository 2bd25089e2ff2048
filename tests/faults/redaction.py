"""Streams with secrets in them, in every disguise and cut anywhere; what may not come out of a redactor.

Written without a look at how the redactor finds what it hides: the disguises here are made by the encoders
that programs use, of texts that contain a secret.
"""

from __future__ import annotations

import base64
import json
import random
import string
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner_agent.launcher.redactor import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

STREAMS = 50
"""Cases made of one set of secrets."""

_PLAIN = string.ascii_letters + string.digits
_ODD = "/+&=%\"'\\ <>?#:;,@!$()*[]{}~^|`-_.\t"
_FAR = "éßøñ漢字🙂\u2028"
_NARROW = "ab"  # overlaps with itself and with others


@dataclass(frozen=True)
class Case:
    """One stream: what was written in which pieces, and what must not be seen."""

    secrets: tuple[str, ...]
    pieces: tuple[bytes, ...]
    hidden: tuple[bytes, ...]


def secret(chance: random.Random) -> str:
    """A value of some kind: token, password, key of several lines, JSON, text of many alphabets."""
    kind = chance.randrange(8)
    if kind == 0:
        return _text(chance, _NARROW, 6, 12)
    if kind == 1:
        return _text(chance, _PLAIN + _ODD + _FAR, 6, 24)
    if kind == 2:
        body = "\n".join(_text(chance, _PLAIN + "+/", 8, 40) for _ in range(chance.randint(1, 4)))
        return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    if kind == 3:
        return json.dumps({"user": _text(chance, _PLAIN, 2, 8), "key": _text(chance, _ODD, 6, 12)}, indent=1)
    if kind == 4:
        return "\r\n".join(_text(chance, _PLAIN, 1, 12) for _ in range(chance.randint(2, 4))) + "!"
    if kind == 5:
        return _text(chance, _ODD, 6, 20)
    return _text(chance, _PLAIN, 6, 48)


def _text(chance: random.Random, alphabet: str, least: int, most: int) -> str:
    return "".join(chance.choices(alphabet, k=chance.randint(least, most)))


def counts(value: str) -> bool:
    """Is it long enough to be a secret (rule 5.6)?"""
    return len(value.strip()) >= 6


# ---------------------------------------------------------------- disguises, by the programs' own encoders


def _upper(text: str) -> str:
    """As Java and C# write what is not ASCII."""
    return "".join(
        char if char.isascii() else _hex(char) for char in json.dumps(text, ensure_ascii=False)[1:-1]
    )


def _hex(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02X}{units[at + 1]:02X}" for at in range(0, len(units), 2))


def _utf8(encode: Callable[[str], str]) -> Callable[[str], bytes]:
    return lambda text: encode(text).encode()


def _go(text: str) -> str:
    """As Go's encoding/json does."""
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    for char in "<>&":
        plain = plain.replace(char, f"\\u{ord(char):04x}")
    return plain


def _lower(quoted: str) -> str:
    parts = quoted.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


WITHIN: tuple[Callable[[str], bytes], ...] = (
    _utf8(lambda text: text),
    _utf8(lambda text: json.dumps(text)[1:-1]),
    _utf8(lambda text: json.dumps(text, ensure_ascii=False)[1:-1]),
    _utf8(lambda text: json.dumps(text)[1:-1].replace("/", "\\/")),
    _utf8(_upper),
    _utf8(_go),
    _utf8(urllib.parse.quote),
    _utf8(lambda text: urllib.parse.quote(text, safe="")),
    _utf8(urllib.parse.quote_plus),
    _utf8(lambda text: urllib.parse.quote(text, safe="!'()*")),
    _utf8(lambda text: _lower(urllib.parse.quote(text, safe=""))),
    _utf8(lambda text: _lower(urllib.parse.quote_plus(text))),
)
"""Encoders whose result for a text contains their result for every part of it."""


def _base64(value: str, encode: Callable[[bytes], bytes]) -> list[bytes]:
    """At each of the three offsets what two different surroundings agree on."""
    found: list[bytes] = []
    for offset in range(3):
        one = encode(b"\x00" * offset + value.encode() + b"\x00\x00\x00")
        two = encode(b"\xff" * offset + value.encode() + b"\xff\xff\xff")
        middle = len(one) // 2
        first = last = middle
        while first > 0 and one[first - 1] == two[first - 1]:
            first -= 1
        while last < len(one) and one[last] == two[last]:
            last += 1
        found.append(one[first:last])
    return found


def forbidden(value: str) -> set[bytes]:
    """What must never be seen of a secret."""
    core = value.replace("\r\n", "\n").strip()
    found: set[bytes] = set()
    for form in {core, core.replace("\n", "\r\n")}:
        found |= {encode(form) for encode in WITHIN}
        found |= {*_base64(form, base64.b64encode), *_base64(form, base64.urlsafe_b64encode)}
    return found


# ---------------------------------------------------------------- streams


def case(chance: random.Random, secrets: tuple[str, ...], hidden: tuple[bytes, ...]) -> Case:
    """A stream of some of the secrets among other text, torn to pieces."""
    parts: list[bytes] = []
    for _ in range(chance.randint(1, 6)):
        parts.append(_noise(chance, secrets))
        value = chance.choice(secrets)
        around = _text(chance, _PLAIN, 0, 5), _text(chance, _PLAIN, 0, 5)
        kind = chance.randrange(8)
        if kind < 4:
            parts.append(chance.choice(WITHIN)(value.join(around)))
        elif kind == 4:
            parts.append(base64.b64encode(value.join(around).encode()))
        elif kind == 5:
            parts.append(base64.urlsafe_b64encode(value.join(around).encode()))
        elif kind == 6:  # two that share their ends
            other = chance.choice(secrets)
            parts.append((value[: chance.randint(0, len(value))] + other + value).encode())
        else:
            parts.append(value.replace("\n", "\r\n").encode())
    return Case(secrets, tuple(tear(chance, b"".join(parts))), hidden)


def _noise(chance: random.Random, secrets: tuple[str, ...]) -> bytes:
    kind = chance.randrange(4)
    if kind == 0:
        return b""
    if kind == 1:
        value = chance.choice(secrets)  # nearly one
        return value[: chance.randint(0, len(value) - 1)].encode()
    return _text(chance, _PLAIN + _ODD + "\n", 0, 60).encode()


def tear(chance: random.Random, data: bytes) -> list[bytes]:
    """Pieces of it."""
    most = chance.choices((1, 4, 30, 300), (1, 2, 8, 8) if len(data) < 250 else (0, 1, 20, 20))[0]
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = chance.randint(1, most)
        pieces.append(data[at : at + size])
        at += size
    return pieces


def wrong(made: Case, redactor: Redactor) -> str:
    """What is wrong with what comes out; "" if nothing is. The redactor is as new afterwards."""
    whole = b"".join(made.pieces)
    shown = b"".join(map(redactor.feed, made.pieces)) + redactor.finish()
    if shown != redactor.feed(whole) + redactor.finish():
        return "the result depends on where the stream was cut"
    for hidden in made.hidden:
        if hidden in shown:
            return f"{hidden!r} is to be seen"
    if not any(hidden in whole for hidden in made.hidden) and not any("\n" in one for one in made.secrets):
        return "" if shown == whole else "text without a secret was changed"
    return ""


def seed_cases(seed: int) -> list[str]:
    """What is wrong in the STREAMS cases of a seed."""
    chance = random.Random(seed)
    secrets = tuple(filter(counts, (secret(chance) for _ in range(chance.choice((1, 1, 2, 5, 12))))))
    if not secrets:
        return []
    redactor = Redactor([one.encode() for one in secrets])
    hidden = tuple(set[bytes]().union(*map(forbidden, secrets)))
    found: list[str] = []
    for _ in range(STREAMS):
        made = case(chance, secrets, hidden)
        if problem := wrong(made, redactor):
            found.append(f"seed {seed}: {problem}; secrets {made.secrets!r}, pieces {made.pieces!r}")
    return found
