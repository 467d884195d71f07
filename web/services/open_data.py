"""Opening encrypted data under the caller's session_key, and what is told of it.

Whatever is wrong with the data takes the same steps and the same time. Only afterwards
WeChat is asked, at most once in a while for each key, whether the key is to blame.
`wechat/open_data.py` opens; `web/services/phone.py` uses what was inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from config.clock import MS_PER_S, Deadline, monotonic, now_ms, sleep
from config.metrics.wechat import OPEN_DATA
from models.errors import Conflict, OpenDataRefused, RedisUnavailable
from models.masking import masked
from wechat.crypto import WatermarkMismatch, raw_data_matches
from wechat.errors import WeChatError
from wechat.key_check import KeyCheck
from wechat.open_data import OpenData, SealedData, open_sealed

if TYPE_CHECKING:
    from config.settings import Settings
    from models.stores.container import Stores
    from models.stores.wechat_keys import HeldKey, HeldKeys
    from web.services.caller import Claims
    from wechat.gateway import Gateway

STALE = b"stale"


class Signed(NamedTuple):
    """Text that the page got beside the data, with WeChat's signature over it."""

    raw_data: str
    signature: str

    def __repr__(self) -> str:
        """Hide both: the text is about a person."""
        return "Signed(…)"


class OpenDataService:
    """Opens what WeChat's client encrypted for the caller."""

    def __init__(self, settings: Settings, stores: Stores, gateway: Gateway) -> None:
        self._private = settings.private
        self._keys = stores.wechat_keys
        self._check = KeyCheck(stores.wechat_keys, gateway)

    def show(
        self,
        claims: Claims,
        sealed: SealedData,
        signed: Signed | None,
        deadline: Deadline,
    ) -> dict[str, Any]:
        """Return the content as its owner may see it: masked. Raises like `open`."""
        found = self.open(claims, sealed, signed, deadline)
        shown: dict[str, Any] = masked(found.content)
        return shown

    def open(
        self,
        claims: Claims,
        sealed: SealedData,
        signed: Signed | None,
        deadline: Deadline,
    ) -> OpenData:
        """Return what is inside, its signature, watermark and owner checked.

        Raises `OpenDataRefused`, and `Conflict` (``session_key_stale``) when WeChat or
        our own records say that the key is old. Redis away: we hold no key to open
        anything with, which is told as a stale one.
        """
        try:
            return self._open(claims, sealed, signed, deadline)
        except (OpenDataRefused, Conflict) as error:
            OPEN_DATA.labels(error.reason).inc()
            raise

    def _open(
        self,
        claims: Claims,
        sealed: SealedData,
        signed: Signed | None,
        deadline: Deadline,
    ) -> OpenData:
        keys = self._held(claims)
        began = monotonic()
        found = open_sealed(sealed, keys.texts)
        if found is None:
            sleep(self._private.refusal_ms / MS_PER_S - (monotonic() - began))
            raise self._refusal(claims, keys, deadline)
        if signed and not raw_data_matches(
            signed.raw_data, found.session_key, signed.signature
        ):
            raise OpenDataRefused(reason="signature_mismatch")
        self._check_owner(claims, keys, found)
        OPEN_DATA.labels("opened").inc()
        return found

    def _held(self, claims: Claims) -> HeldKeys:
        try:
            keys = self._keys.load(claims.app_id, claims.user_id)
        except RedisUnavailable:
            raise Conflict(reason="session_key_stale") from None
        if not keys.texts:
            raise Conflict(reason="session_key_stale")
        return keys

    def _check_owner(self, claims: Claims, keys: HeldKeys, found: OpenData) -> None:
        owner = next(key.secrets.openid for key in keys if key is not None)
        try:
            found.check(claims.app_id, owner, now_ms())
        except WatermarkMismatch as error:
            raise OpenDataRefused(str(error), reason="watermark_mismatch") from None

    def _refusal(
        self, claims: Claims, keys: HeldKeys, deadline: Deadline
    ) -> OpenDataRefused | Conflict:
        """Return why data cannot be opened: because of its key, or just so."""
        if keys.current is None or self._is_stale(claims, keys.current, deadline):
            return Conflict(reason="session_key_stale")
        return OpenDataRefused()

    def _is_stale(self, claims: Claims, current: HeldKey, deadline: Deadline) -> bool:
        def ask() -> bytes:
            limit = Deadline(monotonic() + deadline.capped(self._private.check_s))
            try:
                verdict = self._check.settle(claims.app_id, claims.user_id, limit)
            except (WeChatError, RedisUnavailable):
                # Nobody says that the key is old; the data is what cannot be read.
                return b"unknown"
            return STALE if verdict in ("stale", "gone") else verdict.encode()

        return self._keys.recall(claims.user_id, current, ask) == STALE
