"""Metrics: the gateway's figures in the text format that Prometheus reads.

Made anew for each scrape from what the gateway said last of itself and from what lies in its store:
`exposition`. Names and units keep Prometheus' conventions; labels are words of ours and names of
rules, never of devices, so their number is bounded. Of a gateway that does not run only what is in
the store is told. Reads nothing itself.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.cityhall.delivery import State
from gateway.refusal import Reason
from gateway.watch.condition import Halt
from gateway.watch.counters import Spread
from gateway.watch.health import age_ms, live
from rules.fields import REPORTED_KINDS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
WAITING = (
    State.READY, State.REVIEW, State.SENDING, State.TOKENED, State.REFUSED, State.UNCERTAIN,
    State.HELD, State.REOPENING,
)  # fmt: skip
"""Requests that are not at their end."""


class RequestCounted(Protocol):
    """Requests of one service in one state; `oldest_ms`: when the oldest of them was made."""

    @property
    def service(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def total(self) -> int: ...
    @property
    def oldest_ms(self) -> int: ...


class Counted(Protocol):
    """What lies in the store, as `tally` counts it."""

    @property
    def fired(self) -> Mapping[str, int]: ...
    @property
    def open(self) -> Mapping[tuple[str, str], int]: ...
    @property
    def requests(self) -> Sequence[RequestCounted]: ...
    @property
    def devices(self) -> int: ...
    @property
    def history_lag_readings(self) -> int: ...
    @property
    def stopped(self) -> bool: ...
    @property
    def store_bytes(self) -> int: ...
    @property
    def free_bytes(self) -> int: ...


def exposition(
    status: Mapping[str, Any],
    counted: Counted | None,
    now_ms: int,
    standings: Mapping[str, int] | None = None,
) -> bytes:
    """`counted` None: the store cannot be read. `standings`: how many devices stand how."""
    collectors = CollectorRegistry()
    collectors.register(_Told(status, counted, now_ms, standings))
    return generate_latest(collectors)


class _Told(Collector):
    def __init__(
        self,
        status: Mapping[str, Any],
        counted: Counted | None,
        now_ms: int,
        standings: Mapping[str, int] | None,
    ) -> None:
        self._status, self._counted, self._now_ms = status, counted, now_ms
        self._standings = standings

    def collect(self) -> Iterator[Metric]:
        up = live(self._status, self._now_ms).ok
        yield _gauge("up", "Whether the gateway runs.", up)
        age = age_ms(self._status, self._now_ms)
        if age is not None:
            yield _gauge("status_age_seconds", "Since the gateway last told how it is.", age / 1000)
        if up:
            yield from _of_process(self._status)
            yield from _of_parts(self._status, self._now_ms)
            yield from _of_rules(self._status)
        readable = self._counted is not None
        yield _gauge("store_readable", "Whether the store's file can be read.", readable)
        if self._counted is not None:
            yield from _of_incidents(self._counted)
            yield from _of_requests(self._counted, self._now_ms)
            yield from _of_store(self._counted)
            if self._standings is not None:
                what = "Devices as they stand: by what each has said, and when."
                yield _gauges("fleet_devices", what, "standing", self._standings)
            if (self._status.get("figures") or {}).get("history") is not None:
                what = "Readings stored and not yet in the history."
                yield _gauge("history_lag_readings", what, self._counted.history_lag_readings)


def _of_process(status: Mapping[str, Any]) -> Iterator[Metric]:
    """What passed through since this process began."""
    figures = status["figures"]
    began = "When the gateway's process began, since the epoch."
    yield _gauge("process_start_time_seconds", began, figures["started_ms"] / 1000)
    yield _counter("messages", "Messages taken from the broker.", status["messages"])
    readings = {kind: figures["kinds"].get(kind, 0) for kind in REPORTED_KINDS}
    yield _counters("readings", "Readings stored.", "kind", readings)
    yield _counter("duplicates", "Readings that had come before.", status["duplicates"])
    refusals = {str(reason): status["refusal_reasons"].get(reason, 0) for reason in Reason}
    yield _counters("refusals", "Messages refused.", "reason", refusals)
    yield _histogram(
        "batch_seconds",
        "From taking a batch of messages to its acknowledgement.",
        Spread.from_dict(figures["batch"]),
    )
    yield _histogram(
        "commit_seconds",
        "Of that, the transaction that stores it.",
        Spread.from_dict(figures["commit"]),
    )


def _of_parts(status: Mapping[str, Any], now_ms: int) -> Iterator[Metric]:
    """How the gateway's surroundings stand."""
    figures = status["figures"]
    yield _gauge("broker_connected", "Whether the broker delivers.", figures["broker_ready"])
    lost = "How often the broker had forgotten the gateway's session."
    yield _counter("broker_sessions_lost", lost, status["sessions_lost"])
    yield _gauges("desk_up", "Whether the 311 desk answers.", "desk", figures["desks"])
    left = {
        desk: max(0, pause["paused_until_ms"] - now_ms) / 1000
        for desk, pause in figures["pauses"].items()
    }
    what = "For how long the 311 desk is left alone from now on; 0: it is asked."
    yield _gauges("desk_paused_seconds", what, "desk", left)
    full = figures["halt"] == Halt.DISK_FULL
    yield _gauge("disk_full", "Whether nothing is taken for lack of room on the disk.", full)
    if (history := figures["history"]) is not None:
        yield _gauge("history_up", "Whether the history takes readings.", history["up"])
        yield _counter("history_points", "Readings written to the history.", history["written"])
        dropped = "Readings that the history refused for good."
        yield _counter("history_points_dropped", dropped, history["dropped"])


def _of_rules(status: Mapping[str, Any]) -> Iterator[Metric]:
    figures, rules = status["figures"], status["rules"]
    told = {"live": rules["count"] - len(rules["shadow"]), "shadow": len(rules["shadow"])}
    yield _gauges("rules_loaded", "Rules in force.", "mode", told)
    refused = status["reload"]["result"] == "refused"
    yield _gauge("rules_reload_failed", "Whether the rule files could not be used.", refused)
    results = {"good": figures["reloads"], "refused": figures["reloads_refused"]}
    yield _counters("rules_reloads", "How often rules were read again.", "result", results)
    passed = "Up to when rules have taken time to have passed, since the epoch."
    yield _gauge("event_time_seconds", passed, status["tick_ms"] / 1000)


def _of_incidents(counted: Counted) -> Iterator[Metric]:
    yield _counters("incidents_fired", "Incidents, ever.", "rule", counted.fired)
    open_ = GaugeMetricFamily(
        "sense311_incidents", "Incidents that are open.", labels=["rule", "state"]
    )
    for (rule, state), count in sorted(counted.open.items()):
        open_.add_metric([rule, state], count)
    yield open_
    yield _gauge("devices", "Devices that were ever heard.", counted.devices)


def _of_requests(counted: Counted, now_ms: int) -> Iterator[Metric]:
    services, states = Counter[str](), Counter[str](dict.fromkeys(map(str, State), 0))
    oldest_ms: dict[str, int] = {}
    for row in counted.requests:
        services[row.service] += row.total
        states[row.state] += row.total
        oldest_ms[row.state] = min(row.oldest_ms, oldest_ms.get(row.state, row.oldest_ms))
    yield _counters("requests_created", "Requests for the city, ever.", "service", services)
    yield _gauges("requests", "Requests as they stand.", "state", states)
    ages = {
        str(state): max(0, now_ms - oldest_ms[state]) / 1000 if state in oldest_ms else 0
        for state in WAITING
    }
    what = "Since the oldest request that is in this state was made; 0: none is."
    yield _gauges("requests_oldest_waiting_seconds", what, "state", ages)
    yield _gauge("filing_stopped", "Whether a person has stopped all filing.", counted.stopped)


def _of_store(counted: Counted) -> Iterator[Metric]:
    yield _gauge("store_bytes", "Size of the store, with its log.", counted.store_bytes)
    yield _gauge("store_free_bytes", "Room left on the store's disk.", counted.free_bytes)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"sense311_{name}", text, value=float(value))


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _labelled(GaugeMetricFamily(f"sense311_{name}", text, labels=[label]), values)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"sense311_{name}", text, value=float(value))


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _labelled(CounterMetricFamily(f"sense311_{name}", text, labels=[label]), values)


def _labelled(
    metric: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float]
) -> Metric:
    for value, count in sorted(values.items()):
        metric.add_metric([value], float(count))
    return metric


def _histogram(name: str, text: str, spread: Spread) -> Metric:
    metric = HistogramMetricFamily(f"sense311_{name}", text)
    metric.add_metric([], spread.up_to(), spread.sum_s)
    return metric
