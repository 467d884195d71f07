"""A forger who has everything: the key, a real token, somebody else's, a refresh token.

What even this forger is refused needs no secrecy of the format.
"""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass
from typing import Any

import jwt

Claims = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login answered."""

    access: str
    refresh: str

    @property
    def claims(self) -> Claims:
        """The claims of the access token."""
        found: Claims = jwt.decode(self.access, options={"verify_signature": False})
        return found


@dataclass(frozen=True, slots=True)
class Forge:
    """Makes tokens that differ from a real one in what a twist says."""

    key: bytes
    own: Tokens
    other: Tokens

    @property
    def claims(self) -> Claims:
        """The claims of the forger's own, live token."""
        return self.own.claims

    @property
    def header(self) -> dict[str, Any]:
        """The header of a real token."""
        return jwt.get_unverified_header(self.own.access)

    def token(self, **changes: Any) -> str:
        """Return a token that is right but for the claims in ``changes``."""
        return self.signed(json.dumps(self.claims | changes))

    def without(self, name: str) -> str:
        """Return a token that lacks one claim."""
        kept = {key: value for key, value in self.claims.items() if key != name}
        return self.signed(json.dumps(kept))

    def headed(self, **changes: Any) -> str:
        """Return a token that is right but for fields of its header."""
        return self.signed(json.dumps(self.claims), json.dumps(self.header | changes))

    def signed(
        self, payload: str, header: str = "", *, key: bytes = b"", digest: str = ""
    ) -> str:
        """Return any two texts signed as a token."""
        texts = header or json.dumps(self.header), payload
        signing = ".".join(b64(text.encode()) for text in texts)
        mac = hmac.digest(key or self.key, signing.encode(), digest or "sha256")
        return f"{signing}.{b64(mac)}"


def b64(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def respelled(part: str) -> str:
    """Return base64url of the same bytes with other spare bits at its end."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return part[:-1] + alphabet[alphabet.index(part[-1]) ^ 1]
