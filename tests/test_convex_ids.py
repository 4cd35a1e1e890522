"""
Ids of Convex are read without asking anyone.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timestamp_guard.convex.ids import Id, NotAnId, decode, encode

KNOWN = "z43zp6c3e75gkmz1kfwj6mbbx5sw281h"
"""One that the backend's own tests hold still: table 1017, and the powers of 251."""


def test_known() -> None:
    """
    What the backend calls a document is read as that document, and written as that.
    """
    one = Id(1017, bytes(pow(251, power, 256) for power in range(1, 17)))

    assert one == decode(KNOWN)
    assert KNOWN == encode(one)


@given(st.integers(1, 2**32 - 1), st.binary(min_size=16, max_size=16))
def test_round_trip(table: int, internal: bytes) -> None:
    """
    Every document has an id, of 31 to 37 letters, and is what that names.
    """
    text = encode(Id(table, internal))

    assert 31 <= len(text) <= 37
    assert Id(table, internal) == decode(text)


@given(st.integers(0, 31), st.sampled_from("0123456789abcdefghjkmnpqrstvwxyz"))
def test_slips(place: int, letter: str) -> None:
    """
    One wrong letter is found.
    """
    wrong = KNOWN[:place] + letter + KNOWN[place + 1 :]

    if wrong != KNOWN:
        with pytest.raises(NotAnId):
            decode(wrong)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 letters"),
        (KNOWN[:-2], "30 letters"),
        (KNOWN + "000000", "38 letters"),
        (KNOWN[:-1] + "u", "letters that no id has"),
        (KNOWN.upper(), "letters that no id has"),
        (KNOWN[:-1] + "é", "letters that no id has"),
        (KNOWN[:-1] + "٣", "letters that no id has"),
        (KNOWN + "00", "another number of them"),
        ("000000000000000000010000services", "letters that no id has"),
        ("0" * 31, "no number of a table"),
        ("z" * 32, "no number of a table"),
        ("sssswsgggggggggsgcsssfafffsffks", "an id|no id"),
    ],
)
def test_others(text: str, said: str) -> None:
    """
    What is no id is told of, with the reason.
    """
    with pytest.raises(NotAnId, match=said):
        decode(text)


@given(st.text(max_size=40) | st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=31, max_size=37))
def test_anything(text: str) -> None:
    """
    Whatever is given, it is an id or none.
    """
    try:
        one = decode(text)
    except NotAnId:
        return
    assert text == encode(one)
