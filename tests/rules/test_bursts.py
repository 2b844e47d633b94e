"""Hundreds of contradictory reports of one bin within a minute are at most one change of state."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.workbench.trial import run
from rules.files import load
from rules.finding import Finding

FILE = """apiVersion: sense311/v1
sensor: bin
owner: waste-ops
rules:
  - use: bin_full
    with: {{reports: {reports}}}
    tests:
      - name: a burst
        start: 2026-05-04T06:00-05:00
        every: 1s
        asset: {{id: BIN-7, lat: 41.88, lon: -87.63}}
        feed: {{fill: "{feed}"}}
        expect: [{{at: end + 1h, filed: {filed}}}]
"""


def failures(reports: int, fills: list[int], filed: int) -> list[object]:
    feed = ", ".join(f"{fill}%" for fill in fills)
    bundle, findings = load({"a.yaml": FILE.format(reports=reports, feed=feed, filed=filed)})
    assert bundle is not None, list(map(Finding.__str__, findings))
    [case] = [case for case in bundle.rules["bin_full"].cases if case.name == "a burst"]
    return list(run(case, bundle).failures)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), st.lists(st.sampled_from([0, 5, 79, 80, 95, 100]), min_size=2, max_size=60)
)
def test_a_burst_is_at_most_one_request(reports: int, fills: list[int]):
    """One if the bin stays full at its end, as far as anybody knows, else none."""
    full = [fill >= 80 for fill in fills]
    last = next((n for n, one in enumerate(reversed(full)) if not one), len(full))
    assert failures(reports, fills, 1 if last >= reports else 0) == []
