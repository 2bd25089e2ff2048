"""Names of container images: the grammar that container engines and registries share.

It is that of the library `distribution/reference`. Whether there is such an image, the Engine tells.
"""

import re

EXAMPLE = "busybox:1.36, ghcr.io/team/app:1.2 or localhost:5000/app@sha256:..."
_LONGEST_PATH = 255
_SHOWN = 80
_LONGEST_TAG = 128
_SLASHES = "begins or ends with a slash, or has two in a row"
_ID = re.compile(r"[a-f0-9]{64}")
_HOST = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
)
_PART = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}


def wrong_with_image(name: str) -> str:
    """Why no image can go by the name, in words that end with what to write; "" if one can."""
    fault = _fault(name)
    if not fault:
        return ""
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
    without = name.partition("://")[2]
    instead = without if without and not _fault(without) else f"it like {EXAMPLE}"
    return f"{shown!r} is no name of an image: it {fault}; write {instead}"


def _fault(name: str) -> str:
    if any(char.isspace() for char in name):
        return "holds a blank, which no name of an image can" if name.strip() else "is blank"
    scheme, colon, _ = name.partition("://")
    if colon:
        return f"begins with {scheme}://, and no name of an image has a scheme"
    if _ID.fullmatch(name) or (
        _DIGEST.fullmatch(name) and not _wrong_digest(name)
    ):  # of an image that is here
        return ""
    named, at, digest = name.partition("@")
    if "//" in named or named[:1] == "/" or named[-1:] == "/":
        return _SLASHES
    if at and (fault := _wrong_digest(digest)):
        return fault
    host, path = _parted(named)
    path, colon, tag = path.partition(":")
    if host is not None and not _HOST.fullmatch(host) and not _PART.fullmatch(host):
        return f"has {host!r} before its first slash, and no registry can be called so"
    return _wrong_path(path) or (_wrong_tag(tag) if colon else "")


def _parted(named: str) -> tuple[str | None, str]:
    """The registry, None where none is named, and the rest."""
    first, slash, rest = named.partition("/")
    if slash and (set(".:") & set(first) or first == "localhost" or first != first.lower()):
        return first, rest
    return None, named


def _wrong_path(path: str) -> str:
    if not path:
        return "has no name of an image"
    if path != path.lower():
        return f"has capital letters in {path!r}, which must be in lower case"
    wrong = next((part for part in path.split("/") if not _PART.fullmatch(part)), None)
    if wrong is not None:
        return (
            f"has the part {wrong!r}: only a-z and 0-9, with single . _ or any - between them, can be in one"
        )
    if len(path) > _LONGEST_PATH:
        return f"is too long: the name has {len(path)} characters, and {_LONGEST_PATH} are the most"
    return ""


def _wrong_tag(tag: str) -> str:
    if not tag:
        return "has no tag after its colon"
    if not _TAG.fullmatch(tag):
        return f"has the tag {tag!r}: only letters, digits, _ . and - can be in one, the first no . or -"
    if len(tag) > _LONGEST_TAG:
        return f"has a tag of {len(tag)} characters, and {_LONGEST_TAG} are the most"
    return ""


def _wrong_digest(digest: str) -> str:
    algorithm, _, digits = digest.partition(":")
    known = _DIGITS.get(algorithm)
    if not _DIGEST.fullmatch(digest):
        return f"has the digest {digest!r}, which is none: after @ comes sha256: and 64 digits of a-f and 0-9"
    if not known:
        return (
            f"has a digest of the kind {algorithm}, which no Engine knows: write one of {', '.join(_DIGITS)}"
        )
    if len(digits) != known or digits != digits.lower():
        return f"has a digest that is none: {algorithm} takes {known} digits of a-f and 0-9, in lower case"
    return ""
