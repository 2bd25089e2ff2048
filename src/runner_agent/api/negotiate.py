"""Which way of speaking a call uses: decided by the head of the request, before any of its body is read."""

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs

from runner_agent.api.codec import JSON, LIMIT, PROTO, Codec, too_large
from runner_agent.api.connect import ENVELOPE, LINES, Enveloped, Head, Lines, Stream, Terms, Unary, invalid
from runner_agent.api.errors import Code, RpcError

UNARY_TYPES: Mapping[str, Codec] = {"application/json": JSON, "application/proto": PROTO}
STREAM_TYPES: Mapping[str, Codec] = {"application/connect+json": JSON, "application/connect+proto": PROTO}
LINES_TYPES = ("application/json", LINES)


def negotiate_unary(head: Head, *, reads: bool) -> Unary:
    """How a unary method is spoken. `reads`: it has no side effects, so GET will do. Raises RpcError."""
    _check_version(head)
    accepts_gzip = _accepts_gzip(head.headers)
    if head.verb == "GET" and reads:
        return _get(head, accepts_gzip=accepts_gzip)
    if head.verb != "POST":
        raise wrong_verb("GET, POST" if reads else "POST")
    codec = UNARY_TYPES.get(_content_type(head))
    if codec is None:
        raise _unsupported(head, UNARY_TYPES)
    gzipped = _gzipped(head.headers.get("content-encoding", ""))
    return Unary(codec, _terms(head), gzipped=gzipped, accepts_gzip=accepts_gzip)


def negotiate_stream(head: Head) -> Stream:
    """How a streaming method is spoken. Raises RpcError."""
    _check_version(head)
    if head.verb != "POST":
        raise wrong_verb("POST")
    kind = _content_type(head)
    if (codec := STREAM_TYPES.get(kind)) is not None:
        return Enveloped(codec, _terms(head), _gzipped(head.headers.get("connect-content-encoding", "")))
    if kind in LINES_TYPES:
        return Lines(_terms(head), _gzipped(head.headers.get("content-encoding", "")))
    raise _unsupported(head, (*STREAM_TYPES, *LINES_TYPES))


def check_length(head: Head) -> None:
    """Refuse a body by its announced size, before any of it is read. Raises RpcError."""
    length = head.headers.get("content-length", "")
    if length.isdigit() and int(length) > LIMIT + ENVELOPE.size:
        raise too_large()


def _get(head: Head, *, accepts_gzip: bool) -> Unary:
    """Connect GET: the message is in the address."""
    query = {name: values[-1] for name, values in parse_qs(head.query, keep_blank_values=True).items()}
    codec = {"json": JSON, "proto": PROTO}.get(query.get("encoding", ""))
    if codec is None:
        raise _unsupported(head, ("encoding=json", "encoding=proto"))
    if query.get("connect", "v1") != "v1":
        raise invalid("the protocol version must be connect=v1")
    text = query.get("message", "")
    if query.get("base64") == "1":
        try:
            inline = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (Base64Error, ValueError) as error:
            raise invalid(f"the message of the address is not base64: {error}") from None
    else:
        # surrogateescape brings back the bytes of a percent-encoded proto message
        raw = parse_qs(head.query, keep_blank_values=True, encoding="utf-8", errors="surrogateescape")
        inline = raw.get("message", [""])[-1].encode("utf-8", "surrogateescape")
    return Unary(codec, _terms(head), _gzipped(query.get("compression", "")), accepts_gzip, inline)


def _content_type(head: Head) -> str:
    """Lower case, no parameters. None given and no body is JSON: so a call without arguments arrives."""
    given = head.headers.get("content-type", "")
    kind, _, parameters = given.lower().partition(";")
    charset = parameters.strip()
    if charset.startswith("charset=") and charset.removeprefix("charset=").strip('"') not in {
        "utf-8",
        "utf8",
    }:
        return given
    bodiless = head.headers.get("content-length", "0") == "0" and "transfer-encoding" not in head.headers
    return "application/json" if not given and bodiless else kind.strip()


def _terms(head: Head) -> Terms:
    deadline = head.headers.get("connect-timeout-ms", "")
    if deadline and not (deadline.isdecimal() and len(deadline) <= 10):
        raise invalid(f"connect-timeout-ms must be up to ten digits, not {deadline[:20]!r}")
    seconds = head.headers.get("x-stainless-read-timeout", "")
    page = {
        name: values[-1] for name, values in parse_qs(head.query).items() if name in {"token", "pageSize"}
    }
    return Terms(int(deadline) / 1000 if deadline else None, _positive(seconds), page)


def _positive(text: str) -> float | None:
    try:
        return value if 0 < (value := float(text)) < float("inf") else None
    except ValueError:
        return None


def _check_version(head: Head) -> None:
    version = head.headers.get("connect-protocol-version", "1")
    if version != "1":
        raise invalid(f"connect-protocol-version must be 1, not {version[:20]!r}")


def _gzipped(encoding: str) -> bool:
    match encoding.lower():
        case "gzip":
            return True
        case "" | "identity":
            return False
        case other:
            raise RpcError(
                Code.UNIMPLEMENTED, f"compression {other[:20]!r} is unknown here: use gzip or identity"
            )


def _accepts_gzip(headers: Mapping[str, str]) -> bool:
    for each in headers.get("accept-encoding", "").lower().split(","):
        name, _, quality = each.partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "").rstrip("0.") != "q="
    return False


def wrong_verb(allow: str) -> RpcError:
    """The refusal of an HTTP method that does not do here."""
    message = f"this is asked by {allow.replace(', ', ' or ')}"
    return RpcError(Code.UNIMPLEMENTED, message, status=405, headers=(("allow", allow),))


def _unsupported(head: Head, accepted: Iterable[str]) -> RpcError:
    given = head.headers.get("content-type", "")
    types = ", ".join(accepted)
    message = f"content type {given[:60]!r} is not understood: send {types}"
    return RpcError(Code.INVALID_ARGUMENT, message, status=415, headers=(("accept-post", types),))
