"""Support codes: found again, however written; single mistakes and swaps are told."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.support_codes import (
    ALPHABET,
    id_ranges,
    read_support_code,
    support_code_of,
)

IDS = st.integers(0, 2**104 - 1).map(lambda bits: f"u_{bits:026x}")


@given(user_id=IDS)
def test_a_code_leads_to_a_range_with_its_id(user_id: str) -> None:
    code = support_code_of(user_id)
    bits = read_support_code(code)

    assert bits is not None
    (low, high), (guest_low, _) = id_ranges(bits)
    assert low <= user_id <= high
    assert guest_low == "g_" + low[2:]
    first, last = (int(end.partition("_")[2], 16) for end in (low, high))
    assert last - first + 1 == 2**54


def test_it_is_read_as_people_write_it() -> None:
    code = support_code_of("u_" + "0123456789abcdef0123456789")
    plain = code.replace("-", "")
    assert len(plain) == 11
    for written in (plain, code.lower(), f" {plain[:4]} {plain[4:]} "):
        assert read_support_code(written) == read_support_code(code)
    misread = code.replace("0", "o").replace("1", "l")
    assert misread != code
    assert read_support_code(misread) == read_support_code(code)


@given(user_id=IDS, place=st.integers(0, 10), other=st.sampled_from(ALPHABET))
def test_a_wrong_symbol_is_told(user_id: str, place: int, other: str) -> None:
    plain = support_code_of(user_id).replace("-", "")
    changed = plain[:place] + other + plain[place + 1 :]

    assert (read_support_code(changed) is None) == (changed != plain)


@given(user_id=IDS)
def test_swapped_neighbours_are_told(user_id: str) -> None:
    plain = support_code_of(user_id).replace("-", "")
    for place, (one, two) in enumerate(pairwise(plain)):
        swapped = plain[:place] + two + one + plain[place + 2 :]
        assert (read_support_code(swapped) is None) == (one != two)


@pytest.mark.parametrize("name", ["", "u_1", "x" * 28, "U" * 11, "0" * 12, "漢" * 11])
def test_other_names_are_no_codes(name: str) -> None:
    assert read_support_code(name) is None
    assert support_code_of(name) == ""
