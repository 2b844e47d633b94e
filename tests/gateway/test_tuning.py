"""Tuning: the values of a parameter, and what a rule files with each."""

import re

import pytest
from history_scenes import FULL, SILENCE, bundle_of, run, series
from hypothesis import given, settings
from hypothesis import strategies as st
from small_city import city_of

from gateway.effects import Settings
from gateway.workbench.backtest import Backtest
from gateway.workbench.tuning import (
    Columns,
    agree,
    present_value,
    read_range,
    related,
    stands_alone,
)
from rules.files import load


@pytest.mark.parametrize(
    ("text", "steps", "literals"),
    [
        ("out_frac=5%..50%", 4, ["5%", "20%", "35%", "50%"]),
        ("wait=5..20 min", 2, ["5 min", "20 min"]),
        ("reports=1..4", 10, ["1", "2", "3", "4"]),
        ("x=-1 degC .. 1 degC", 3, ["-1 degC", "0 degC", "1 degC"]),
        ("f=0.5..1", 2, ["0.5", "1"]),
    ],
)
def test_a_range_becomes_literals_of_a_rule_file(text, steps, literals):
    """Whole numbers stay whole, and none comes twice."""
    assert [value.literal for value in read_range(text, steps).values] == literals


@pytest.mark.parametrize(
    ("text", "steps"),
    [("high", 5), ("high=5%", 5), ("high=..5%", 5), ("high=50%..5%", 5), ("high=5%..9 W", 5),
     ("=1..2", 5), ("high=1..2", 1), ("high=1..2", 100_000), ("high=a..b", 5)],
)  # fmt: skip
def test_what_is_no_range_is_refused(text, steps):
    """With the text that was given."""
    with pytest.raises(ValueError, match=re.escape(f"--param {text}")):
        read_range(text, steps)


def test_the_present_value_is_put_on_the_scale_of_the_range():
    """Where it has the same unit."""
    rule = bundle_of().rules["full_bin"]

    assert present_value(rule, read_range("high=10%..90%", 3)).literal == "80%"
    assert present_value(rule, read_range("high=1..2", 3)) is None
    assert present_value(rule, read_range("other=1..2", 3)) is None


def test_rules_that_others_have_a_say_in_do_not_stand_alone():
    """Silence is more than samples; a phase that another asks for would change too."""
    bundle = bundle_of(FULL, SILENCE)
    asked = bundle_of(FULL, SILENCE.replace("silent > 30min", "full_bin.firing and fill > 1%"))

    assert stands_alone(bundle.rules["full_bin"], bundle)
    assert not stands_alone(bundle.rules["silent_bin"], bundle)
    assert not stands_alone(asked.rules["full_bin"], asked)


def test_only_rules_about_the_same_kind_are_related():
    """Those of a circuit to those of its lamps."""
    lamps = FULL.replace("sensor: bin", "sensor: streetlight").replace("full_bin", "dim_lamp")
    lamps = lamps.replace("fill", "dim_level")
    circuit = """\
  - {id: dark, title: t, scope: circuit, when: "peers.count(dim_lamp.firing) >= 3",
     identity: [circuit.id]}
"""
    bundle, findings = load({"bins": FULL, "lamps": lamps + circuit})
    assert bundle is not None, findings

    assert list(related(bundle, "full_bin").rules) == ["full_bin"]
    assert sorted(related(bundle, "dim_lamp").rules) == ["dark", "dim_lamp"]
    assert sorted(related(bundle, "dark").rules) == ["dark", "dim_lamp"]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from([None, 40.0, 72.0, 79.0, 80.0, 85.0, 95.0]), max_size=40),
    st.lists(st.sampled_from([None, 60.0, 81.0]), max_size=30),
    st.sampled_from([5, 9, 15, 40]),
    st.sampled_from(["40%", "80%", "84%", "90%"]),
)
def test_columns_file_what_the_core_files(one, other, every, high):
    """The same episodes at the same times, for any value of the parameter."""
    messages = series(one, every=every) + series(other, device="b1", every=7)
    messages.sort(key=lambda received: received.at_ms)
    base, changed = bundle_of(), bundle_of(**{"full_bin.high": high})
    city = city_of(0, bins=2)
    columns = Columns(city, base.rules["full_bin"])
    first = Backtest(city, base, Settings(), columns.note)
    for received in messages:
        first.feed(received)
    end_ms = first.finish().last_ms

    core = run(messages, changed, city).filings
    by_columns = columns.filings(changed.rules["full_bin"], end_ms)
    assert agree(by_columns, core, "full_bin")
    assert sorted((x.subject, x.started_ms, x.fired_ms, x.filed_ms) for x in by_columns) == sorted(
        (x.subject, x.started_ms, x.fired_ms, x.filed_ms) for x in core
    )
