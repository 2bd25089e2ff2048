"""The forms in which a secret may turn up in what a program writes: all that is to be hidden."""

import binascii
import json

LEAST = 6
"""Characters: what is shorter is no secret (rule 5.6); hiding it would hide half of what is written."""

_JSON_HTML = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("'", "\\u0027"))
_UNESCAPED = (  # what encoders of URLs leave as it is, beside letters and digits
    b"-_.~",  # RFC 3986: Python, curl, Go
    b"-_.~/",  # Python's default
    b"-_.!~*'()",  # encodeURIComponent
    b"-_.!~*'();/?:@&=+$,#",  # encodeURI
    b"-_.*",  # forms, as browsers and Java write them
    b"-_.",  # PHP
)
_ALPHANUMERIC = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_WRAPPED = (76, 64)  # characters to a line of base64, by MIME and by PEM


def disguises(secret: bytes) -> set[bytes]:
    """All of them; none for a secret that is too short.

    White space at its ends does not count: a file's last line end is seldom printed with the value.
    """
    text = secret.decode("utf-8", "surrogateescape")
    if len(stripped := text.strip()) >= LEAST:
        text = stripped
    if len(text) < LEAST:
        return set()
    given, text = text, text.replace("\r\n", "\n")
    found: set[bytes] = set()
    for form in {given, text, text.replace("\n", "\r\n")}:
        found |= _escaped(form) | _base64(_bytes(form))
    for line in _lines(text):
        found |= _escaped(line)
    return found


def _lines(text: str) -> set[str]:
    """Lines of a secret of several that are secrets by themselves: programs indent, prefix and reorder lines.

    Not those that could stand anywhere: `{`, `------`, and the frame of a key or certificate.
    """
    return {
        line
        for line in map(str.strip, text.split("\n") if "\n" in text else ())
        if sum(char.isalnum() for char in line) >= LEAST
        and not (line.startswith("-----") and line.endswith("-----"))
    }


def _escaped(text: str) -> set[bytes]:
    """As it is, as part of a JSON string and as part of a URL."""
    plain = _bytes(text)
    if text.isascii() and text.isalnum():
        return {plain}
    return {plain} | _json(text) | _url(plain)


def _json(text: str) -> set[bytes]:
    forms: set[str] = set()
    for ascii_only in (True, False):
        plain = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        html = plain
        for char, escape in _JSON_HTML:
            html = html.replace(char, escape)
        forms |= {plain, html, plain.replace("'", "\\u0027")}
        forms |= {html.replace("\\u0027", "'")}  # Go escapes three of the four
    forms |= {form.replace("/", "\\/") for form in forms}
    forms |= {_upper_hex(form) for form in forms if "\\u" in form}
    return set(map(_bytes, forms))


def _upper_hex(form: str) -> str:
    """`\\u00e9` as `\\u00E9`; a backslash that is escaped itself begins no escape."""
    pieces = form.split("\\\\")
    for number, piece in enumerate(pieces):
        head, *rest = piece.split("\\u")
        pieces[number] = "\\u".join([head, *(part[:4].upper() + part[4:] for part in rest)])
    return "\\\\".join(pieces)


def _url(raw: bytes) -> set[bytes]:
    forms: set[bytes] = set()
    present = set(raw.translate(None, _ALPHANUMERIC))
    for unescaped in _UNESCAPED:
        escaped = present.difference(unescaped)
        for hexadecimal in (b"%%%02X", b"%%%02x") if escaped else ():
            form = raw.replace(b"%", b"%25")  # first, for it begins all that follow
            for byte in escaped.difference(b"%"):
                form = form.replace(b"%c" % byte, hexadecimal % byte)
            forms |= {form, form.replace(b"%20", b"+")}
    return forms


def _base64(raw: bytes) -> set[bytes]:
    """Of the secret within something longer, at each of three places in a group of four characters.

    Only characters that the secret alone decides. Also in lines, for a secret that is encoded by itself.
    """
    forms = {_decided(raw, offset) for offset in (0, 1, 2)}
    whole = _decided(raw, 0)
    for size in _WRAPPED:
        if len(raw) > size // 4 * 3:
            forms |= {whole[start : start + size] for start in range(0, len(whole), size)}
    forms = {form for form in forms if len(form) >= LEAST}
    return forms | {form.translate(_URL_SAFE) for form in forms}


def _decided(raw: bytes, offset: int) -> bytes:
    encoded = binascii.b2a_base64(b"\0" * offset + raw, newline=False)
    first = -(-offset * 8 // 6)
    return encoded[first : (offset + len(raw)) * 8 // 6]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
