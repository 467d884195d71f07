"""A phone number as SQL may hold it; `models/phones.py` stores it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.masking import mask_phone
from models.sealing import IdentityHasher, sealer_for

if TYPE_CHECKING:
    from config.secrets import SecretSettings

SEALING_PURPOSE = "phone"


@dataclass(frozen=True, slots=True)
class SealedPhone:
    """A number ready to be stored for one user; its repr shows nothing of it."""

    user_id: str
    app_id: str
    phone_hash: str = field(repr=False)
    phone_sealed: bytes = field(repr=False)
    country_code: str = field(repr=False)
    masked: str = field(repr=False)


class PhoneSealer:
    """Turns numbers into what SQL may hold."""

    def __init__(self, secrets: SecretSettings) -> None:
        self._sealer = sealer_for(secrets, SEALING_PURPOSE)
        self._hasher = IdentityHasher(secrets.id_key)

    def seal(
        self, app_id: str, user_id: str, country_code: str, number: str
    ) -> SealedPhone:
        """Return the number for ``user_id``; equal numbers of an app have one hash."""
        whole = f"{country_code}:{number}"
        return SealedPhone(
            user_id,
            app_id,
            phone_hash=self._hasher.look_up("phone", f"{app_id}:{whole}"),
            phone_sealed=self._sealer.seal(whole.encode(), f"{app_id}:{user_id}"),
            country_code=country_code,
            masked=mask_phone(number),
        )
