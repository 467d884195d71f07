"""The sections of the report, in its order."""

from __future__ import annotations

from tests.identity.sections import token_twists

ALL = (token_twists.SECTION,)
