"""Titles and descriptions: what their holes may be and how they are filled."""

import pytest
from rule_scenes import BIN

from rules.document import Scalar
from rules.names import Names
from rules.syntax import Refused
from rules.template import template


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{fill:.0f %} full", "93% full"),
        ("{fill}", "93.4%"),
        ("{temperature:.1f degC}", "21.0 °C"),
        ("{asset.id} at {asset.address}", "B1 at Main St"),
        ("{asset.owner}", "unknown"),
        ("{lid_open}/{tilt}", "yes/unknown"),
        ("{limit:.0f %}", "85%"),
        ("{asset.fill_threshold:.0f}", "85%"),
        ("{{{firing_for}}}", "{15 min}"),
        ("{distance:.2f m}", "1.20 m"),
    ],
)
def test_templates_show_values_in_the_unit_asked_for(text, expected):
    """What is not known reads "unknown"."""
    values = {"fill_pct": 93.4, "temperature_c": 21, "lid_open": True, "distance_mm": 1200}
    attributes = {"fill_threshold_pct": 85, "address": "Main St"}
    facts = {"asset.id": "B1", "firing_for": "15 min"}
    names = Names(lets={"limit": Scalar.of("asset.fill_threshold")})
    made = template(Scalar.of(text), BIN, names)
    assert made.render(values, attributes, facts) == expected


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("Bin {", "E100", 5),
        ("Bin }", "E100", 5),
        ("Bin {}", "E100", 5),
        ("Bin {fill!r}", "E100", 5),
        ("Bin {fill:>99999999}", "E104", 6),
        ("Bin {fill:.0f W}", "E104", 6),
        ("Bin {fill.__class__}", "E101", 6),
        ("Bin {asset.nobody}", "E101", 6),
        ("Bin {silent}", "E103", 6),
        ("x" * 1001, "E005", 1001),
    ],
)
def test_a_hole_that_cannot_be_filled_is_refused(text, code, column):
    """When the rule is loaded, not when a city waits for the text."""
    with pytest.raises(Refused) as caught:
        template(Scalar.of(text), BIN, Names())
    assert (caught.value.finding.code, caught.value.finding.column) == (code, column)
