from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.errors import InputError
from semeion.naming import decode_class, encode_class

NAMES = st.text(st.characters(exclude_categories=("Cs",)))


@given(NAMES)
def test_a_name_comes_back_from_its_encoding(name: str) -> None:
    encoded = encode_class(name)
    assert decode_class(encoded) == name
    assert set(encoded) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-%")


@given(NAMES, NAMES)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (encode_class(one) == encode_class(other)) == (one == other)


def test_the_encoding_is_that_of_a_url() -> None:
    assert encode_class("normal or benign") == "normal%20or%20benign"
    assert encode_class("é~50%") == "%C3%A9%7E50%25"
    assert encode_class("A_z.0-9") == "A_z.0-9"


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ("a b", "'a b': not a percent-encoded class name; percent-encode what is outside [A-Za-z0-9_.-]"),
        ("50%", "'50%': not a percent-encoded class name; percent-encode what is outside [A-Za-z0-9_.-]"),
        ("%FF", "'%FF': the percent-encoded bytes are not UTF-8; percent-encode what is outside [A-Za-z0-9_.-]"),
    ],
)
def test_what_is_no_encoding_is_refused(encoded: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_class(encoded)
    assert str(caught.value) == message
