"""TCP ports that a script or a line of a log speaks of, as well as text can tell."""

import re
from collections.abc import Iterable, Iterator

_LISTED = r"\b(?:ss|netstat)\b[^|;&\n]{0,100}\|(?:[^|;&\n]{0,100}\|){0,3}\s*"
"""`ss -ltn |`, with filters between."""
_PORTS = (
    re.compile(r":(\d{2,5})\b(?![.:]\d)"),  # localhost:3000, [::1]:3000, grep :3000
    # Python's ('127.0.0.1', 3000), in a script ("localhost", 3000) too; not environ.get("x", 3000)
    re.compile(r"(?<!get)(?<!env)\(\\?['\"][\w.:-]*\\?['\"],\s*(\d{1,5})\b"),
    re.compile(r"\.(?:connect|createConnection)\(\s*(\d{1,5})\b"),  # Node's
    re.compile(r"\b(?:http\.server|SimpleHTTPServer|runserver)\b[^|;&\n]{0,200}?\s(\d{2,5})\b(?![.:])"),
    re.compile(r"/dev/tcp/[^/\s]+/(\d{1,5})\b"),
    re.compile(r"(?:(?<!\w)-p\s*|\bport\b[^\w\n]{0,4})(\d{1,5})\b", re.IGNORECASE),
    re.compile(r"\b[A-Z][A-Z_]*PORT=['\"]?(\d{1,5})\b"),  # PGPORT=5433
    re.compile(r"\b(?:nc|ncat|netcat|telnet|tcping)\b[^|;&\n]{0,200}?(?<!-[wG])\s(\d{2,5})\b(?!\.)"),
    re.compile(r"\bfuser\b[^|;&\n]{0,200}?\s(\d{1,5})/tcp\b"),
    re.compile(r"\bfuser\b[^|;&\n]{0,200}?\stcp\s+(\d{1,5})\b"),
    re.compile(rf"{_LISTED}grep\b[^|;&\n]{{0,100}}?(?<!-[ABCm])\s[^\w\s|;&]{{0,6}}(\d{{2,5}})\b"),
)
_USUAL = (
    (re.compile(r"\bpg_isready\b(?![^|;&\n]*(?:\s-p|\s--port|\bport=|://))"), 5432),
    (re.compile(r"\bredis-cli\b(?![^|;&\n]*(?:\s-p|\s-u|\s-s\b|://))"), 6379),
    (re.compile(r"\b(?:mysqladmin|mariadb-admin)\b(?![^|;&\n]*\s(?:-P|--port))"), 3306),
    (re.compile(r"\bhttp://[^\s/:'\"]+(?=[/\s'\"]|$)"), 80),
    (re.compile(r"\bhttps://[^\s/:'\"]+(?=[/\s'\"]|$)"), 443),
)
"""Ports that go without saying."""
_VARIABLE = re.compile(r"\b(?:PGPORT|MYSQL_TCP_PORT)\b")
"""Where a variable has the port, none goes without saying."""
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
    for form, port in () if _VARIABLE.search(text) else _USUAL:
        if form.search(text):
            yield port


def says_in_use(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines that say that an address was taken."""
    return tuple(line for line in lines if _IN_USE.search(line))
