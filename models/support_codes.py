"""Support codes: what a person reads out to support instead of a user id.

A code holds the first 50 of an id's random bits, so it is found by a range of ids,
and a check symbol that tells every single mistake and every swap of two neighbours.
"""

from __future__ import annotations

import re
from typing import Final

# Crockford's: no I, L, O or U, which are misread.
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ID_BITS, CODE_BITS = 104, 50
# Of users that WeChat told us of, and of those that began as guests.
PREFIXES: Final = ("u_", "g_")
_USER_ID: Final = re.compile(r"[ug]_([0-9a-f]{26})\Z")
_CODE: Final = re.compile(rf"[{ALPHABET}]{{11}}\Z")
_MISREAD: Final = str.maketrans("OIL", "011", "- ")


def support_code_of(user_id: str) -> str:
    """Return the code of a user as it is shown, '' for an id that is none of ours."""
    found = _USER_ID.match(user_id)
    if found is None:
        return ""
    bits = int(found.group(1), 16) >> (ID_BITS - CODE_BITS)
    digits = [bits >> shift & 31 for shift in range(CODE_BITS - 5, -1, -5)]
    code = "".join(ALPHABET[digit] for digit in [*digits, _check(digits)])
    return f"{code[:5]}-{code[5:10]}-{code[10]}"


def read_support_code(text: str) -> int | None:
    """Return the bits of a code however it was written down, None when it is none."""
    code = text.upper().translate(_MISREAD)
    if not _CODE.match(code):
        return None
    *digits, check = (ALPHABET.index(symbol) for symbol in code)
    if _check(digits) != check:
        return None
    bits = 0
    for digit in digits:
        bits = bits << 5 | digit
    return bits


def id_ranges(bits: int) -> list[tuple[str, str]]:
    """Return the first and the last id of each range that a code stands for."""
    low = bits << (ID_BITS - CODE_BITS)
    high = low + (1 << (ID_BITS - CODE_BITS)) - 1
    return [(f"{p}{low:026x}", f"{p}{high:026x}") for p in PREFIXES]


def _check(digits: list[int]) -> int:
    """Return the check digit: a polynomial over the field of 32 elements."""
    total = 0
    for digit in digits:
        total = (total ^ digit) << 1
        if total & 32:
            total ^= 0b100101
    return total
