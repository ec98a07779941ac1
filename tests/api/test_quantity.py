"""Quantities keep their exact value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.quantity import Quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("1", 10**9),
        (2, 2 * 10**9),
        (0.5, 5 * 10**8),
        ("100m", 10**8),
        ("1.5Gi", 3 * 2**29 * 10**9),
        ("2e3", 2000 * 10**9),
        ("2E3", 2000 * 10**9),
        ("1E", 10**27),
        ("1k", 10**12),
        ("1n", 1),
        ("0.1n", 1),
        (".5", 5 * 10**8),
        ("5.", 5 * 10**9),
        ("-1", -(10**9)),
        ("+1Ki", 1024 * 10**9),
        ("1e-3", 10**6),
    ],
)
def test_forms_of_quantities(text, nano):
    assert parse_quantity(text).nano == nano


@pytest.mark.parametrize(
    "text", ["", "m", "1 Gi", "1kb", "1GB", "one", "1e", "--1", ".", "1e99999", "0x10", "\uff11", True]
)
def test_what_is_no_quantity(text):
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


def test_division_rounds_up():
    """ENV-10."""
    assert parse_quantity("1025Ki").ceil_div(parse_quantity("1Mi")) == 2
    assert parse_quantity("250m").ceil_div(parse_quantity("1")) == 1
    assert parse_quantity("1500m").milli == 1500
    assert parse_quantity("1500m").units == 2


@given(st.integers(0, 10**18), st.sampled_from(["", "m", "k", "Mi", "Ti", "u"]))
def test_order_is_that_of_the_values(number, suffix):
    smaller, larger = parse_quantity(f"{number}{suffix}"), parse_quantity(f"{number + 1}{suffix}")

    assert smaller < larger
    assert smaller + Quantity(larger.nano - smaller.nano) == larger
