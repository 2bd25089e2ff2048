"""Names of images: what the Engine cannot even ask a registry for is refused, and nothing that it can."""

from __future__ import annotations

import pytest

from runner_agent.core.images import wrong_with_image

DIGITS = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "name",
    [
        *("busybox", "busybox:test", "a/b/c:1", "a.b", "a_b", "a__b", "a---b", "1/2", "a/b.c_d-e"),
        *("localhost/x", "localhost:5000/x", "localhost:5000/x:1.2", "reg.example.com/team/app", "reg:80/x"),
        *("[::1]:5000/x", "re_g.io/x", "Upper/case", "10.0.0.1:5000/a/b"),
        *(f"sha256:{DIGITS}", DIGITS, "abc123", "sha256:abc"),
        *(f"a@sha256:{DIGITS}", f"a:t@sha256:{DIGITS}", f"reg.io/a@sha512:{DIGITS * 2}"),
        *(f"a:{'a' * 40}", f"sha256:{DIGITS[1:]}", f"sha256:{DIGITS.upper()}"),
        *("a:T.1_x-y", "a:_t", "a:latest", f"a:{'t' * 128}", f"reg.io/{'x' * 250}"),
    ],
)
def test_what_an_engine_takes_is_taken(name: str) -> None:
    assert wrong_with_image(name) == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (
            "docker://busybox:test",
            "begins with docker://, and no name of an image has a scheme; write busybox:test",
        ),
        ("https://ghcr.io/x/y:1", "write ghcr.io/x/y:1"),
        ("docker://", "write it like busybox:1.36"),
        *(
            (name, "two in a row")
            for name in ("/busybox:test", "busybox:test/", "reg//busybox", "/", "//", "a/b/")
        ),
        ("Upper/CASE", "has capital letters in 'CASE'"),
        ("Busybox", "has capital letters in 'Busybox'"),
        (" ", "is blank"),
        (" busybox", "holds a blank"),
        ("busybox latest", "holds a blank"),
        ("busybox\n", "holds a blank"),
        ("a:", "has no tag after its colon"),
        (":tag", "has no name of an image"),
        ("a:.t", "has the tag '.t'"),
        ("a:b:c", "has the tag 'b:c'"),
        ("a/b:c/d", "has the tag 'c/d'"),
        *((f"a:{char * 129}", "has a tag of 129 characters") for char in "ta1"),
        (f"MyApp:{DIGITS[:40]}", "has capital letters in 'MyApp'"),
        (f"MyApp:{DIGITS}", "has capital letters in 'MyApp'"),
        (f"my+app:{DIGITS}", "has the part 'my+app'"),
        (f"a@md5:{DIGITS[:32]}", "has a digest of the kind md5, which no Engine knows"),
        (f"a@SHA256:{DIGITS}", "has a digest of the kind SHA256, which no Engine knows"),
        *((name, "has the part") for name in ("a..b", "a___b", "-a", "a-", ".", "é", "a%2fb")),
        ("${IMAGE}", "has capital letters"),
        ("../a", "no registry can be called so"),
        ("a@", "has the digest ''"),
        ("a@sha256:abc", "has the digest 'sha256:abc'"),
        (f"a@sha256:{DIGITS[1:]}", "sha256 takes 64 digits"),
        (f"a@sha256:{DIGITS.upper()}", "in lower case"),
        ("-r.io/x", "no registry can be called so"),
        ("reg.io:/x", "no registry can be called so"),
        ("reg:x/y", "no registry can be called so"),
        ("x" * 256, "and 255 are the most"),
    ],
)
def test_what_no_engine_can_take_is_told_with_what_to_write(name: str, why: str) -> None:
    told = wrong_with_image(name)
    assert why in told
    assert "; write " in told
    assert len(told) < 400
