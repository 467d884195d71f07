"""Tokens with other headers, under other keys, and in other spellings."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from tests.identity.forge import b64, respelled
from tests.identity.twist import Sent, Twist, bearer, head, twice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.identity.forge import Forge

PUBLIC = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""


def odd_headers() -> Iterator[Twist]:
    """Yield headers that name keys, algorithms or extensions of their own."""
    for alg in (
        "none",
        "None",
        "NONE",
        "",
        "HS384",
        "HS512",
        "RS256",
        "ES256",
        "hs256",
    ):
        yield head(f"alg {alg or 'empty'}, signed by HS256", alg=alg)
    yield head("alg null", alg=None)
    yield head("alg as a list", alg=["HS256"])
    yield head("kid of nobody", kid="k2")
    yield head("kid empty", kid="")
    yield head("kid null", kid=None)
    yield head("kid as a number", kid=1)
    yield head("kid as a list", kid=["k1"])
    yield head("kid as an object", kid={"$ne": ""})
    yield head("kid as a path", kid="../../../../dev/null")
    yield head("kid as SQL", kid="x' UNION SELECT 'key")
    yield head("kid of 1 kB", kid="k" * 1024)
    yield head("kid of 10 kB", kid="k" * 10_000)
    yield head("crit with exp", crit=["exp"])
    yield head("crit with b64", crit=["b64"], b64=False)
    yield head("jku", jku="https://evil.example/keys")
    yield head("jwk", jwk={"kty": "oct", "k": b64(b"x" * 32)})
    yield head("x5u", x5u="https://evil.example/cert")
    yield head("x5c", x5c=["MIIB"])
    yield head("typ at+jwt", typ="at+jwt")
    yield head("typ JOSE", typ="JOSE")
    yield head("typ null", typ=None)
    yield head("cty JWT", cty="JWT")
    yield head("zip DEF", zip="DEF")
    yield Twist("header", "no kid", lambda f: bearer(_headless(f, "kid")))
    yield Twist("header", "no typ", lambda f: bearer(_headless(f, "typ")))
    yield Twist(
        "header",
        "alg twice, none first",
        lambda f: bearer(
            f.signed(json.dumps(f.claims), twice(f.header, "alg", "none", first=True))
        ),
    )


def _headless(forge: Forge, name: str) -> str:
    kept = {key: value for key, value in forge.header.items() if key != name}
    return forge.signed(json.dumps(forge.claims), json.dumps(kept))


def foreign_keys() -> Iterator[Twist]:
    """Yield tokens under keys and algorithms that are not ours."""
    yield Twist("key", "another deployment's key", lambda f: _keyed(f, b"x" * 32))
    yield Twist(
        "key", "the key's hex as text", lambda f: _keyed(f, f.key.hex().encode())
    )
    yield Twist("key", "half of the key", lambda f: _keyed(f, f.key[:16]))
    yield Twist("key", "the kid as key", lambda f: _keyed(f, f.header["kid"].encode()))
    yield Twist("key", "a public key as HMAC key", lambda f: _keyed(f, PUBLIC))
    yield Twist("key", "HS384 rightly signed", lambda f: _hashed(f, "HS384", "sha384"))
    yield Twist("key", "HS512 rightly signed", lambda f: _hashed(f, "HS512", "sha512"))
    yield Twist("key", "none without signature", _unsigned)
    yield Twist("key", "HS256 without signature", lambda f: bearer(_cut(f) + "."))
    yield Twist("key", "nested: a token in a token", _nested)


def _keyed(forge: Forge, key: bytes) -> Sent:
    return bearer(forge.signed(json.dumps(forge.claims), key=key))


def _hashed(forge: Forge, name: str, digest: str) -> Sent:
    header = json.dumps(forge.header | {"alg": name})
    return bearer(forge.signed(json.dumps(forge.claims), header, digest=digest))


def _unsigned(forge: Forge) -> Sent:
    header = json.dumps(forge.header | {"alg": "none"})
    return bearer(f"{b64(header.encode())}.{b64(json.dumps(forge.claims).encode())}.")


def _cut(forge: Forge) -> str:
    return forge.own.access.rpartition(".")[0]


def _nested(forge: Forge) -> Sent:
    header = json.dumps(forge.header | {"cty": "JWT"})
    return bearer(forge.signed(json.dumps(forge.own.access), header))


def odd_texts() -> Iterator[Twist]:
    """Yield other spellings of a token, and changed bytes."""

    def text(name: str, twist: Callable[[str], str]) -> Twist:
        return Twist("text", name, lambda f: bearer(twist(f.own.access)))

    yield text("signature with other spare bits", respelled)
    yield text("signature with padding", lambda t: t + "=")
    yield text("payload with padding", lambda t: t.replace(".", "=.", 2))
    yield text("signature cut by a character", lambda t: t[:-1])
    yield text("signature with a character more", lambda t: t + "A")
    yield text("two parts", lambda t: t.rpartition(".")[0])
    yield text("four parts", lambda t: t + ".AA")
    yield text("five parts, as encrypted", lambda t: t + ".AA.AA")
    yield text("an empty part", lambda t: t.replace(".", "..", 1))
    yield text("plain base64 letters", lambda t: t[:-2] + "+/")
    yield text("a space inside", lambda t: t[:30] + " " + t[30:])
    yield text("a zero byte's name inside", lambda t: t[:30] + "%00" + t[30:])
    yield text("a letter that looks the same", lambda t: "\u0435" + t[1:])
    yield text("only the dots", lambda _: "..")
    yield Twist("text", "own signature under another's payload", _swapped)
    for at in (3, 60, 200):
        yield text(f"byte {at} changed", partial(_changed, at))
    yield Twist("text", "payload that is a list", lambda f: bearer(f.signed("[]")))
    yield Twist("text", "payload that is no JSON", lambda f: bearer(f.signed("{]")))
    yield Twist("text", "payload NaN", lambda f: bearer(f.signed('{"exp": NaN}')))
    yield Twist("text", "payload nested 500 deep", lambda f: bearer(_deep(f)))


def _swapped(forge: Forge) -> Sent:
    header, _, signature = forge.own.access.split(".")
    return bearer(f"{header}.{forge.other.access.split('.')[1]}.{signature}")


def _changed(at: int, token: str) -> str:
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


def _deep(forge: Forge) -> str:
    return forge.signed('{"x": ' + "[" * 500 + "]" * 500 + "}")
