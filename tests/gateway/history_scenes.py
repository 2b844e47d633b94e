"""Rules of their own and streams of messages for tests about history: what stands in the library is
free to change.
"""

from small_city import Gate, at, body, city_of, sent

from gateway.effects import Settings
from gateway.workbench.backtest import backtest
from gateway.workbench.inquiry import Received
from rules.files import load

SILENCE = """\
  - id: silent_bin
    title: t
    when: silent > 30min
    for: 5min
    identity: [asset.id]
    file: {service: BIN_SILENT, description: d}
"""
FULL = """\
apiVersion: sense311/v1
sensor: bin
owner: o
params:
  high: {default: 80%, range: [10%, 100%], doc: d}
  reports: {default: 2, range: [1, 10], doc: d}
rules:
  - id: full_bin
    title: t
    when: fill >= high
    for: 20min
    cover: {min_samples: reports, max_gap: 45min}
    clear: {when: fill < high - 10%, for: 10min}
    identity: [asset.id]
    file: {service: BIN_FULL, description: "{fill:.0f %} full"}
"""


def bundle_of(*parts, **params):
    bundle, findings = load({"bin.yaml": "".join(parts) or FULL}, params)
    assert bundle is not None, findings
    return bundle


def report(device, minute, fill, *, come=None, seq=None):
    """A bin's word, and when it came."""
    message = sent(device, body(at(minute), {"fill_pct": fill}, seq), kind="bin")
    return Received(at(minute if come is None else come), message)


def series(fills, *, device="b0", every=15, first=0):
    """One report each `every` minutes; None is none."""
    return [report(device, first + i * every, fill) for i, fill in enumerate(fills)
            if fill is not None]  # fmt: skip


def run(messages, bundle=None, city=None):
    city = city or city_of(0, bins=3)
    return backtest(city, bundle or bundle_of(), Settings(), messages)


def live(messages, bundle=None, city=None):
    """The same messages through a running gateway, whose clock ticks every minute."""
    gate = Gate(city or city_of(0, bins=3), bundle=bundle or bundle_of())
    minute = 0
    for received in messages:
        come = (received.at_ms - at(0)) // 60_000
        gate.pass_to(*range(minute, come + 1))
        minute = come
        gate.take(received.message, now_ms=received.at_ms)
    return gate
