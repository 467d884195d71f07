"""What a body says of a device must be what a journal can be read back with."""

from __future__ import annotations

import msgspec

from models.device_info import DeviceInfo
from web.views.auth import DeviceBody, device_of


def test_empty_words_of_a_device_are_not_kept() -> None:
    device = device_of(DeviceBody("d1", model="", platform="", system="iOS 18"))

    kept = msgspec.json.decode(msgspec.json.encode(device), type=DeviceInfo)
    assert kept == DeviceInfo("d1", system="iOS 18")
    assert device_of(None) is None
