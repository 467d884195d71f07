"""Rightly signed tokens whose claims are missing, odd, or of another time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.identity.twist import (
    EXPIRED,
    INVALID,
    Sent,
    Twist,
    bearer,
    claim,
    now,
    timed,
    twice,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.identity.forge import Forge

CLAIMS = ("iss", "aud", "sub", "jti", "iat", "nbf", "exp", "type", "sid", "ep")
FAR = 4_000_000_000


def missing_claims() -> Iterator[Twist]:
    """Yield a token without each claim."""
    for name in CLAIMS:

        def send(forge: Forge, name: str = name) -> Sent:
            return bearer(forge.without(name))

        yield Twist("claims", f"no {name}", send)


def odd_claims() -> Iterator[Twist]:
    """Yield what says where a token is from and for whom, in other values."""
    yield claim("foreign iss", iss="other")
    yield claim("iss as a list", iss=["kuaida"])
    yield claim("iss with another case", iss="Kuaida")
    yield claim("foreign aud", aud="other")
    yield claim("aud as a list with ours", aud=["kuaida-client"])
    yield claim("aud as a list with ours and another", aud=["kuaida-client", "other"])
    yield claim("aud as an empty list", aud=[])
    yield claim("type refresh", type="refresh")
    yield claim("type null", type=None)
    yield claim("type in capitals", type="ACCESS")


def odd_ids() -> Iterator[Twist]:
    """Yield ids of other types and forms."""
    yield claim("sub as a number", sub=1)
    yield claim("sub null", sub=None)
    yield claim("sub empty", sub="")
    yield claim("sub of 1,000 letters", sub="u" * 1000)
    yield claim("sub with a line break", sub="u_1\n")
    yield claim("sub in other letters", sub="用户")
    yield claim("sid as a list", sid=["se_1"])
    yield claim("sid with a colon and a star", sid="se:*")
    yield claim("app null", app=None)
    yield claim("app as an object", app={"id": "wx"})
    yield claim("jti as a number", jti=5)
    yield claim("jti of another form", jti="zzz")
    yield claim("jti of another session", jti="se_other.1")
    yield claim("ep as text", ep="0")
    yield claim("ep true", ep=True)
    yield claim("ep as a fraction", ep=0.5)
    yield claim("ep negative", ep=-1)
    yield claim("ep beyond 2**64", ep=2**70)
    yield Twist(
        "claims",
        "jti with an odd generation",
        lambda f: bearer(f.token(jti=f"{f.claims['sid']}.x")),
    )
    yield Twist(
        "claims",
        "jti with a negative generation",
        lambda f: bearer(f.token(jti=f"{f.claims['sid']}.-1")),
    )
    yield Twist(
        "claims",
        "sub twice, the second another's",
        lambda f: bearer(f.signed(twice(f.claims, "sub", f.other.claims["sub"]))),
    )


def odd_times() -> Iterator[Twist]:
    """Yield times of other types, too long lives, too early and too late tokens."""
    yield claim("exp as text", exp="9999999999")
    yield claim("exp null", exp=None)
    yield claim("exp 1e300", exp=1e300)
    yield claim("exp as a fraction", exp=FAR + 0.5)
    yield claim("exp negative", exp=-1)
    yield claim("exp true", exp=True)
    yield claim("exp in 2096", exp=FAR)
    yield claim("iat as text", iat="now")
    yield claim("iat 0", iat=0)
    yield claim("iat negative", iat=-900)
    yield claim("nbf as a list", nbf=[])
    yield claim("nbf negative", nbf=-5)
    yield claim("iat in the future", iat=9_999_999_999)
    yield claim("nbf in the future", nbf=9_999_999_999)
    yield timed("alive a second too long", _long, INVALID)
    yield timed("iat just beyond the leeway", lambda: _moved(40, "iat"), INVALID)
    yield timed("nbf just beyond the leeway", lambda: _moved(40, "nbf"), INVALID)
    yield timed("ends before it begins", _backwards, INVALID)
    yield timed("expired just beyond the leeway", lambda: _expired(33), EXPIRED)
    yield timed("expired an hour ago", lambda: _expired(3600), EXPIRED)


def _long() -> dict[str, int]:
    return {"iat": now(), "nbf": now(), "exp": now() + 901}


def _moved(seconds: int, name: str) -> dict[str, int]:
    at = now()
    return {"iat": at, "nbf": at, "exp": at + 890} | {name: at + seconds}


def _backwards() -> dict[str, int]:
    at = now()
    return {"iat": at + 20, "nbf": at, "exp": at + 10}


def _expired(seconds: int) -> dict[str, int]:
    at = now() - seconds - 900
    return {"iat": at, "nbf": at, "exp": at + 900}
