"""A journal entry: what a session leaves in Redis for the enrichment to write."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from models.device_info import DeviceInfo

# As long as the columns: checked where an entry is read, since SQLite would not.
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
AppId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Address = Annotated[str, msgspec.Meta(max_length=45)]
RequestId = Annotated[str, msgspec.Meta(max_length=64)]
EpochMs = Annotated[int, msgspec.Meta(ge=0, le=2**53)]

FIRST_GENERATION: Final = 1
# Stands for the epoch in what the script that opens a session is to fill in.
UNKNOWN_EPOCH = -1


class LoginEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A journal entry: a login, a rotated refresh token, or one that was reused.

    Holds ids and plain values only; openid and session_key stay in the sealed
    blob of `models/stores/wechat_keys.py`. Times are epoch milliseconds.
    """

    id: Id
    kind: Literal["login", "refresh", "reused"]
    user_id: Id
    app_id: AppId
    session_id: Id
    at: EpochMs
    expires_at: EpochMs
    generation: Annotated[int, msgspec.Meta(ge=1, le=2**53)] = FIRST_GENERATION
    has_unionid: bool = False
    device: DeviceInfo | None = None
    ip: Address | None = None
    request_id: RequestId | None = None
    # The user's epoch at the opening; what was journalled before has none, as 0.
    epoch: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    # Another session_key was written a moment before: which one holds WeChat?
    contested: bool = False
    # When the session was opened; of a login that is ``at``.
    opened_at: EpochMs | None = None
    # Of the session's refresh tokens; an access token does not know it.
    refresh_hash: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    # How many sessions the app lets a user have at a time; 0 for any number.
    max_sessions: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0

    @property
    def began_at(self) -> int:
        """When the session was opened."""
        return self.at if self.opened_at is None else self.opened_at
