"""The truth as a file: what kind of fault each label belongs to, and what cannot be read."""

import json

import pytest

from simulators.city import City
from simulators.losses import Cause, Loss
from simulators.plan import plan_of
from simulators.truth import (
    Happening,
    Label,
    LabelsError,
    happenings,
    kinds_of,
    read_labels,
    read_truth,
    write_labels,
    write_truth,
)

LABEL = Label(1_000, None, "lamp_out", "lamp-1", 41.5, -87.25)
FAULT = Happening("lamp_out/sl-1/1", "lamp_out", "sl-1", 1_000, 2_000, {"watts": 3.0}, (LABEL,))


def struck(some):
    return {(x.kind, x.target, x.start_ms, x.end_ms) for x in some}


def test_the_truth_of_a_city_reads_back_and_its_labels_are_those_of_the_csv(tmp_path):
    """The same labels in both files, so that either can be scored by."""
    plan = plan_of(City.sized(3, lamps=90, bins=40, road=12))
    write_truth(tmp_path / "truth.json", happenings(plan.faults))
    write_labels(tmp_path / "labels.csv", plan.labels)

    told, _ = read_truth(tmp_path / "truth.json")

    assert struck(told) == struck(plan.faults)
    assert len({one.id for one in told}) == len(told)
    assert set(kinds_of(told)) == set(read_labels(tmp_path / "labels.csv"))


def test_a_fault_reads_back_with_everything(tmp_path):
    """Its extent too, and what the network lost."""
    lost = [Loss("sl-1", Cause.NO_UPLINK, 3, 1_000, 5_000)]
    write_truth(tmp_path / "t.json", [FAULT], lost)
    assert read_truth(tmp_path / "t.json") == ([FAULT], lost)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda row: row.pop("kind"), "fault 1: no key 'kind'"),
        (lambda row: row.update(start="soon"), "fault 1"),
        (lambda row: row.update(start="2026-01-01T00:00:00"), "no time zone"),
        (lambda row: row["labels"][0].update(must_file="yes"), "true or false"),
        (lambda row: row.update(extent=[1]), "fault 1"),
        (lambda row: row["labels"].append(3), "fault 1"),
    ],
)
def test_a_bad_fault_is_refused_with_its_number(tmp_path, spoil, words):
    """And with what is wrong."""
    path = tmp_path / "t.json"
    write_truth(path, [FAULT])
    body = json.loads(path.read_text())
    spoil(body["faults"][0])
    path.write_text(json.dumps(body))
    with pytest.raises(LabelsError, match=words):
        read_truth(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"faults": 3}'])
def test_what_is_no_truth_is_refused(tmp_path, text):
    """With the form that is due."""
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(LabelsError):
        read_truth(path)
