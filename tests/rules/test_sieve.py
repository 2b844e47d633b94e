"""A sieve lets every sample through for which its comparison may be true or unknown."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_rules import DUSK_MS, LAMPS, MINUTE_MS, amounts, series
from rule_scenes import LAMP

from rules.columns import Columns
from rules.document import Scalar
from rules.expression import read
from rules.kleene import spread
from rules.names import Names
from rules.series import Block, series_of
from rules.sieve import sieve
from rules.syntax import Refused

often = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
TYPED_BY_HAND = st.sampled_from(
    [
        "20% * expected_power(coalesce(dim_level, prev(dim_level), 100%))",
        "coalesce(expected_power, 12 W) / coalesce(dim_level, 50%)",
        "min(coalesce(active_power, 6 W), nominal_power) * 1.5 - 3 W",
        "-coalesce(prev(active_power), voltage * 1 A, 30 W) + nominal_power",
    ]
)


def tree_of(text):
    """The tree, or None where the text is refused (as one that can never be true)."""
    try:
        return read(Scalar.of(text), LAMP, Names())
    except Refused:
        return None


def block_of(subject, samples):
    return Block(subject, series_of(samples), None, None, None)


def let_through(tree, block):
    """For each sample whether the sieve of the comparison lets it through; None: it has none."""
    sifted = sieve(tree)
    with np.errstate(all="ignore"):
        return None if sifted is None else spread(sifted(block).true, block.size).tolist()


@pytest.mark.slow
@often
@given(
    amounts | TYPED_BY_HAND,
    st.sampled_from(["<", "<=", ">", ">="]),
    st.booleans(),
    series(),
    st.sampled_from(LAMPS),
)
def test_nothing_is_sifted_out_but_what_is_false(amount, sign, mirrored, samples, subject):
    """For any amount on either side, any series and any lamp."""
    text = f"{amount} {sign} active_power" if mirrored else f"active_power {sign} {amount}"
    tree = tree_of(text)
    assume(tree is not None)
    block = block_of(subject, samples)
    through = let_through(tree, block)
    assume(through is not None)
    with np.errstate(all="ignore"):
        told = Columns().step(tree)(block)
    hopeful = spread(told.true, block.size) | ~spread(told.known, block.size)
    assert [row for row in np.flatnonzero(hopeful).tolist() if not through[row]] == []


WATTS = (0.0, 11.9, 12.0, None, 58.0)
LEVELS = (50, None, 100, 100, 0)
SAMPLES = [
    (DUSK_MS + 15 * MINUTE_MS * i, {"active_power_w": watt, "dim_level_pct": level})
    for i, (watt, level) in enumerate(zip(WATTS, LEVELS, strict=True))
]


@pytest.mark.parametrize(
    ("text", "through"),
    [
        (
            "active_power < 20% * expected_power(coalesce(dim_level, prev(dim_level), 100%))",
            "yynyn",
        ),
        ("20% * expected_power(coalesce(dim_level, 100%)) > active_power", "yynyn"),
        ("active_power <= 20% * expected_power(coalesce(dim_level, 100%))", "yyyyn"),
        ("active_power > nominal_power / (coalesce(dim_level, 100%) + 100%) - 18 W", "nnnyy"),
        ("active_power >= coalesce(prev(active_power), 58 W) + 12 W", "nnyyy"),
    ],
)
def test_what_even_the_nearest_bound_rules_out_is_sifted_out(text, through):
    """Bounds are exact, and a sample without the value stays."""
    found = let_through(tree_of(text), block_of(LAMPS[0], SAMPLES))
    assert found == [letter == "y" for letter in through]


@pytest.mark.parametrize(
    "text",
    [
        "active_power < 12 W",  # as cheap itself
        "active_power < 20% * nominal_power",
        "active_power == coalesce(dim_level, 100%) * nominal_power",  # no order
        "active_power < (avg(active_power) over 1h)",  # rounding may lead beyond the ends
        "abs(active_power) < expected_power(coalesce(dim_level, 100%))",  # not a field
    ],
)
def test_some_comparisons_have_none(text):
    """Where it would save nothing, or where nothing is known of the bounds."""
    assert sieve(tree_of(text)) is None


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("active_power < expected_power(coalesce(dim_level, 100%))", LAMPS[2]),  # a curve
        ("active_power < expected_power(coalesce(dim_level, 100%))", LAMPS[5]),  # no nominal power
        ("active_power < 20% * expected_power(dim_level)", LAMPS[3]),
        ("active_power < 12 W / (coalesce(dim_level, 100%) - 50%)", LAMPS[0]),  # by zero
        ("active_power < prev(active_power)", LAMPS[0]),  # unknown for the first
        ("lux > 2 * coalesce(dim_level, 100%) * 1 lx", LAMPS[0]),  # never told
    ],
)
def test_where_nothing_can_be_said_everything_passes(text, subject):
    """An unknown side makes the comparison unknown, not false."""
    values = {"active_power_w": 58.0, "dim_level_pct": 0}
    samples = [(DUSK_MS, values), (DUSK_MS + MINUTE_MS, {**values, "dim_level_pct": 100})]
    assert let_through(tree_of(text), block_of(subject, samples)) == [True, True]
