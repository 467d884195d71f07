"""What a client says about its device: the shape in bodies, journals and rows."""

from __future__ import annotations

from typing import Annotated

import msgspec

# A control character would survive JSON and spoil logs and columns.
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
_Text32 = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=_PRINTABLE)]
_Text64 = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_PRINTABLE)]


class DeviceInfo(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What a client says about its device; hints, never proof."""

    id: _Text64
    model: _Text64 | None = None
    platform: _Text32 | None = None
    system: _Text64 | None = None
    wechat_version: _Text32 | None = None
