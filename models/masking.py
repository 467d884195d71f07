"""What answers show of a person's numbers and names: enough to know them again.

`phones` keeps the masked number, `web` shows open data through `masked`.
"""

from __future__ import annotations

from typing import Any, Final

HIDDEN: Final = "****"
# Shorter numbers show less: four digits at least stay hidden.
_LONG, _SHORT = 11, 8
# Open data has three levels; nobody's nesting may use up our stack.
DEEPEST: Final = 16
_PHONE_FIELDS: Final = frozenset({"phonenumber", "purephonenumber"})
_ID_FIELDS: Final = frozenset({"openid", "unionid"})


def mask_phone(number: str) -> str:
    """Return ``138****8000`` for a number of eleven digits, less of shorter ones."""
    if len(number) >= _LONG:
        return number[:3] + HIDDEN + number[-4:]
    shown = 2 if len(number) >= _SHORT else 0
    return number[:shown] + HIDDEN + (number[-shown:] if shown else "")


def mask_id(name: str) -> str:
    """Return the ends of an openid or unionid."""
    shown = 3 if len(name) > _LONG else 0
    return name[:shown] + HIDDEN + (name[-shown:] if shown else "")


def masked(value: Any, levels: int = DEEPEST) -> Any:  # noqa: ANN401 (JSON)
    """Return open data as answers show it: a copy, masked at every depth."""
    if levels == 0:
        return HIDDEN
    if isinstance(value, dict):
        return {name: _shown(name, part, levels - 1) for name, part in value.items()}
    if isinstance(value, list):
        return [masked(part, levels - 1) for part in value]
    return value


def _shown(name: str, value: Any, levels: int) -> Any:  # noqa: ANN401 (JSON)
    plain = name.lower()
    if plain in _PHONE_FIELDS:
        return mask_phone(str(value))
    if plain in _ID_FIELDS:
        return mask_id(str(value))
    return masked(value, levels)
