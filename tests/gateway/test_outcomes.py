"""Rules judged by the city's word: what it closed, what it found nothing at, what nobody knows."""

import pytest

from gateway.cityhall.following import CLOSED, DUPLICATE
from gateway.workbench.backtest import Filing
from gateway.workbench.outcomes import Answered, Verdict, judge, verdict_of

HOUR_MS = 3_600_000
SERVICES = {"bin_full": "BIN_FULL", "fuller_bin": "BIN_FULL", "lamp_out": "LAMP"}


@pytest.mark.parametrize(
    ("status", "notes", "verdict"),
    [
        ("open", "", Verdict.UNKNOWN),
        ("", "no problem found", Verdict.UNKNOWN),
        (CLOSED, "", Verdict.CONFIRMED),
        (CLOSED, "Lamp replaced", Verdict.CONFIRMED),
        (CLOSED, "No parts needed to be ordered later, no problem found", Verdict.UNFOUNDED),
        (CLOSED, "Completed - No Problem Found", Verdict.UNFOUNDED),
        (CLOSED, "Unable to locate", Verdict.UNFOUNDED),
        (CLOSED, "the light is working properly", Verdict.UNFOUNDED),
        (CLOSED, "No se encontró la avería", Verdict.UNFOUNDED),
        (CLOSED, "aucun défaut constaté", Verdict.UNFOUNDED),
        (CLOSED, "未发现问题", Verdict.UNFOUNDED),
        (DUPLICATE, "no problem found", Verdict.CONFIRMED),
    ],
)
def test_the_city_s_word_is_read_from_status_and_notes(status, notes, verdict):
    """Closed is a fault, unless it is said that there was none; a duplicate was seen by others."""
    assert verdict_of(status, notes) is verdict


def filing(number, start_h, end_h=None, rule="bin_full", asset="B-1", lat=41.0):
    """Times in hours."""
    cleared_ms = None if end_h is None else end_h * HOUR_MS
    start_ms = start_h * HOUR_MS
    return Filing(
        number, rule, SERVICES[rule], asset or "place", asset, lat, -87.0, start_ms, start_ms,
        start_ms, cleared_ms, "text", {},
    )  # fmt: skip


def answered(start_h, end_h=None, verdict=Verdict.CONFIRMED, asset="B-1", lat=41.0, **more):
    cleared_ms = None if end_h is None else end_h * HOUR_MS
    told = {"rule": "bin_full", "service": "BIN_FULL", "subject": asset or "place"} | more
    return Answered(
        asset_id=asset, lat=lat, long=-87.0, started_ms=start_h * HOUR_MS, cleared_ms=cleared_ms,
        verdict=verdict, **told,
    )  # fmt: skip


def figures(judged, rule="bin_full"):
    one = judged.scores[rule]
    return one.confirmed, one.unfounded, one.unknown, one.missed, one.precision, one.recall


def test_a_filing_has_the_verdict_of_the_request_for_the_same_episode():
    """Same service, same thing, at the same time."""
    filings = [filing(1, 1, 3), filing(2, 10, 12), filing(3, 20, 21), filing(4, 30, 31)]
    known = [answered(2, 4), answered(11, 13, Verdict.UNFOUNDED), answered(20, 22, Verdict.UNKNOWN)]

    judged = judge(filings, known, SERVICES)

    verdicts = [str(judged.verdicts[number]) for number in (1, 2, 3, 4)]
    assert verdicts == ["confirmed", "unfounded", "unknown", "unknown"]
    assert figures(judged) == (1, 1, 2, 0, 0.5, 1.0)


def test_what_the_city_confirmed_and_nobody_files_now_is_missed():
    """Under the rule that asked, or one that files the same service; others' faults are not."""
    other = {"rule": "gone_rule", "service": "BIN_FULL"}
    foreign = {"rule": "pothole", "service": "POTHOLE"}
    known = [
        answered(1, 2), answered(5, 6, **other), answered(7, 8, **foreign),
        answered(9, 9, Verdict.UNFOUNDED),
    ]  # fmt: skip

    judged = judge([], known, SERVICES)

    assert figures(judged) == (0, 0, 0, 2, None, 0.0)
    assert [rule for rule, _ in judged.missed] == ["bin_full", "bin_full"]


def test_each_request_answers_for_one_filing_the_nearest():
    """Two rules that file the same fault do not both get the city's word."""
    filings = [filing(1, 1), filing(2, 3, rule="fuller_bin")]

    judged = judge(filings, [answered(3)], SERVICES)

    assert judged.verdicts == {1: Verdict.UNKNOWN, 2: Verdict.CONFIRMED}


@pytest.mark.parametrize(("away", "verdict"), [(0.0001, "confirmed"), (0.001, "unknown")])
def test_places_are_the_same_within_reach(away, verdict):
    """A place has no name: 11 m are the same, 111 m are not."""
    judged = judge([filing(1, 1, asset=None)], [answered(1, asset=None, lat=41 + away)], SERVICES)

    assert judged.verdicts[1] == verdict
