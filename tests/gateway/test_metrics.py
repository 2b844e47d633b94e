"""What Prometheus is told: names, kinds and values, from a status and from counts of the store."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.books.store import Store
from gateway.books.tally import Figures, RequestCount, figures_of
from gateway.effects import Effects, StoredReading, StoredRefusal
from gateway.refusal import Reason
from gateway.watch.condition import DeskSeen, Halt, Link, Parts, Trouble, figures, told
from gateway.watch.counters import BUCKETS_S, Counters, Durations, Spread
from gateway.watch.health import AGE_MS_MAX
from gateway.watch.metrics import exposition

NOW_MS = 1_768_453_200_000
COUNTED = Figures(
    fired={"bin_full": 7, "lamp_out": 2},
    open={("bin_full", "queued"): 3, ("bin_full", "held"): 1},
    requests=[
        RequestCount("BIN_FULL", "filed", 4, NOW_MS - 900_000),
        RequestCount("BIN_FULL", "review", 1, NOW_MS - 60_000),
        RequestCount("STREETLIGHT_OUT", "review", 2, NOW_MS - 120_000),
    ],
    devices=12,
    history_lag_readings=40,
    stopped=False,
    store_bytes=4096,
    free_bytes=10**10,
)


def reading(kind="bin"):
    return StoredReading(1, "dev", kind, "z", "A", 1, 1, "judged", b"{}")


def refusal(reason):
    return StoredRefusal(1, "t", "dev", reason, "", "", "", 2, b"{}")


def batch():
    effects = Effects(readings=[reading(), reading(), reading("road")], duplicates=4)
    effects.refusals = [refusal(Reason.NOT_JSON), refusal(Reason.NOT_JSON)]
    return effects


def status(age=500, history=None, halt=Halt.NONE, counters=None):
    counters = counters or Counters()
    desks = [
        DeskSeen("city", up=True, told="up", paused_until_ms=NOW_MS - 1),
        DeskSeen("emergency", up=False, told="down: x", paused_until_ms=NOW_MS + 90_000),
    ]
    parts = Parts(Trouble(halt, str(halt)), Link(True, "", 1), desks, "", "", {})
    return {
        **told(parts),
        "at_ms": NOW_MS - age,
        **counters.told(),
        "tick_ms": NOW_MS,
        "rules": {"version": "v", "count": 5, "shadow": ["pothole"]},
        "reload": {"result": "refused"},
        "figures": {
            "started_ms": NOW_MS - 60_000,
            **figures(parts),
            **counters.figures(),
            "history": history,
        },
    }


def samples(said, counted=COUNTED, now_ms=NOW_MS, standings=None):
    """{(name, its labels): value}"""
    text = exposition(json.loads(json.dumps(said)), counted, now_ms, standings).decode()
    return {
        (sample.name.removeprefix("sense311_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_figure_has_its_name_and_labels():
    """What passed through, how the surroundings stand, what lies in the store."""
    counters = Counters()
    counters.add(batch())
    counters.time(5, 0.03, 0.02)
    counters.reload(refused=True)
    history = {"up": False, "written": 9, "dropped": 1}
    standings = {"online": 9, "silent": 3, "fault": 0}
    found = samples(status(history=history, counters=counters), standings=standings)
    expected = {
        ("up",): 1, ("status_age_seconds",): 0.5, ("store_readable",): 1,
        ("process_start_time_seconds",): (NOW_MS - 60_000) / 1000,
        ("messages_total",): 5, ("duplicates_total",): 4,
        ("readings_total", "bin"): 2, ("readings_total", "road"): 1,
        ("readings_total", "streetlight"): 0,
        ("refusals_total", "not_json"): 2, ("refusals_total", "not_utf8"): 0,
        ("batch_seconds_bucket", "0.025"): 0, ("batch_seconds_bucket", "0.05"): 1,
        ("batch_seconds_bucket", "+Inf"): 1, ("batch_seconds_count",): 1,
        ("batch_seconds_sum",): 0.03, ("commit_seconds_bucket", "0.025"): 1,
        ("broker_connected",): 1, ("broker_sessions_lost_total",): 1,
        ("desk_up", "city"): 1, ("desk_up", "emergency"): 0, ("disk_full",): 0,
        ("desk_paused_seconds", "city"): 0, ("desk_paused_seconds", "emergency"): 90,
        ("history_up",): 0, ("history_points_total",): 9, ("history_points_dropped_total",): 1,
        ("history_lag_readings",): 40, ("rules_loaded", "live"): 4, ("rules_loaded", "shadow"): 1,
        ("rules_reload_failed",): 1, ("rules_reloads_total", "good"): 0,
        ("rules_reloads_total", "refused"): 1, ("event_time_seconds",): NOW_MS / 1000,
        ("incidents_fired_total", "bin_full"): 7, ("incidents", "bin_full", "held"): 1,
        ("devices",): 12, ("fleet_devices", "silent"): 3, ("fleet_devices", "fault"): 0,
        ("requests_created_total", "BIN_FULL"): 5,
        ("requests", "review"): 3, ("requests", "filed"): 4, ("requests", "held"): 0,
        ("requests_oldest_waiting_seconds", "review"): 120,
        ("requests_oldest_waiting_seconds", "ready"): 0, ("filing_stopped",): 0,
        ("store_bytes",): 4096, ("store_free_bytes",): 10**10,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    assert ("requests_oldest_waiting_seconds", "filed") not in found


def test_a_full_disk_is_told():
    """The gateway runs, and takes nothing."""
    found = samples(status(halt=Halt.DISK_FULL))
    assert (found[("up",)], found[("disk_full",)]) == (1, 1)


@pytest.mark.parametrize(
    "said", [status(age=AGE_MS_MAX + 1), status(halt=Halt.STOPPED)], ids=["old", "stopped"]
)
def test_of_a_gateway_that_does_not_run_only_the_store_is_told(said):
    """What it said last of its surroundings is true no more."""
    found = samples(said)
    assert found[("up",)] == 0
    assert ("broker_connected",) not in found
    assert ("messages_total",) not in found
    assert found[("requests", "review")] == 3


def test_without_gateway_and_store():
    """There is an answer all the same."""
    assert samples({"at_ms": 0}, None) == {("up",): 0, ("store_readable",): 0}


def test_no_history_no_figures_of_it():
    """A gauge that nobody moves would raise alarms."""
    assert not [name for name, *_ in samples(status()) if name.startswith("history")]


def test_what_comes_from_outside_cannot_break_the_format():
    """A rule's name is a label's value, whatever is in it."""
    name = 'x"} 1\nsense311_up 0\\'
    found = samples(status(), COUNTED._replace(fired={name: 1}))
    assert found[("incidents_fired_total", name)] == 1
    assert found[("up",)] == 1


@given(st.lists(st.floats(0, 100)))
def test_a_histogram_counts_what_is_at_most_its_bound(seconds):
    """And everything under +Inf, whatever came in which order."""
    durations = Durations()
    for each in seconds:
        durations.add(each)

    spread = Spread.from_dict(json.loads(json.dumps(durations.told())))

    expected = [sum(each <= bound for each in seconds) for bound in BUCKETS_S] + [len(seconds)]
    assert [count for _, count in spread.up_to()] == expected
    assert spread.sum_s == pytest.approx(sum(seconds), abs=1e-5)


@given(st.lists(st.tuples(st.sampled_from(list(Reason)), st.sampled_from(["bin", "road"]))))
def test_the_parts_are_as_many_as_the_whole(story):
    """By reason and by kind, over any batches."""
    counters = Counters()
    for reason, kind in story:
        counters.add(Effects(readings=[reading(kind)], refusals=[refusal(reason)]))
        counters.time(2, 0.1, 0.05)

    assert sum(counters.told()["refusal_reasons"].values()) == counters.refusals == len(story)
    assert sum(counters.figures()["kinds"].values()) == counters.readings == len(story)
    assert (counters.messages, counters.batches) == (2 * len(story), len(story))


def test_counts_of_a_new_store(tmp_path):
    """Nothing is there, and nothing is missing."""
    store = Store(tmp_path)
    found = figures_of(tmp_path / "sense311.db")
    store.close()
    assert found[:6] == ({}, {}, [], 0, 0, False)
    assert found.store_bytes > 0
    assert found.free_bytes > 0
