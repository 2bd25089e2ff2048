"""TCP ports that a script or a line of a log speaks of, as well as text can tell."""

import re
from collections.abc import Iterable, Iterator

_PORTS = (
    re.compile(r":(\d{2,5})\b(?![.:]\d)"),  # localhost:3000, [::1]:3000, grep :3000
    re.compile(r"\('[^']*', (\d{1,5})\b"),  # Python's ('127.0.0.1', 3000)
    re.compile(r"/dev/tcp/[^/\s]+/(\d{1,5})\b"),
    re.compile(r"(?:(?<!\w)-p\s*|\bport\b[^\w\n]{0,4})(\d{1,5})\b", re.IGNORECASE),
    re.compile(r"\b(?:nc|ncat|netcat|telnet|tcping)\b[^|;&\n]*?(?<!-[wG])\s(\d{2,5})\b(?!\.)"),
)
_USUAL = (
    (re.compile(r"\bpg_isready\b(?![^|;&\n]*\s-p)"), 5432),
    (re.compile(r"\bredis-cli\b(?![^|;&\n]*\s-p)"), 6379),
    (re.compile(r"\b(?:mysqladmin|mariadb-admin)\b(?![^|;&\n]*\s(?:-P|--port))"), 3306),
    (re.compile(r"\bhttp://[^\s/:'\"]+(?=[/\s'\"]|$)"), 80),
    (re.compile(r"\bhttps://[^\s/:'\"]+(?=[/\s'\"]|$)"), 443),
)
"""Ports that go without saying."""
_IN_USE = re.compile(
    r"EADDRINUSE|address (?:is )?(?:already )?in use|port \d+ is (?:already )?(?:in use|allocated|taken)",
    re.IGNORECASE,
)


def ports_in(text: str) -> tuple[int, ...]:
    """In the order in which they are first found, each once."""
    return tuple(dict.fromkeys(port for port in _found(text) if 0 < port < 65536))


def _found(text: str) -> Iterator[int]:
    for form in _PORTS:
        yield from map(int, form.findall(text))
    for form, port in _USUAL:
        if form.search(text):
            yield port


def says_in_use(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines that say that an address was taken."""
    return tuple(line for line in lines if _IN_USE.search(line))
