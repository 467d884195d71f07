"""The sections of the report, in its order."""

from __future__ import annotations

from tests.identity.sections import (
    behaviour,
    canaries,
    decrypt_timing,
    key_rotation,
    limiter,
    limiter_tricks,
    login_faults,
    refresh_storm,
    revocation_delay,
    token_twists,
)

ALL = (
    token_twists.SECTION,
    login_faults.SECTION,
    key_rotation.SECTION,
    refresh_storm.SECTION,
    revocation_delay.SECTION,
    decrypt_timing.SECTION,
    canaries.SECTION,
    limiter.SECTION,
    limiter_tricks.SECTION,
    behaviour.SECTION,
)
