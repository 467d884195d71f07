"""The sections of the report, in its order."""

from __future__ import annotations

from tests.identity.sections import canaries, decrypt_timing, token_twists

ALL = (token_twists.SECTION, decrypt_timing.SECTION, canaries.SECTION)
