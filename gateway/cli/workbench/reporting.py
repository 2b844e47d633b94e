"""The report of a backtest: what failed first, each with the signals that the rule looked at.

Brings result, judgement and signals together into the tables and cards of `gateway.report`. Looks
through the messages once more, for the windows of its charts only.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gateway.cityhall.requests import duration, rfc3339
from gateway.cli.workbench.judgement import Judgement, Missed, Verdict, subject_of
from gateway.cli.workbench.materials import Material, told
from gateway.workbench.backtest import Filing, NearMiss, Result
from gateway.workbench.charts import Band, Figure, Mark, timeline
from gateway.workbench.report import CARDS_MAX, Card, Report, Section, Table, page
from gateway.workbench.signals import Line, Signals, View

if TYPE_CHECKING:
    from rules.rule import Bundle
    from simulators.truth import Label

PAD_MS_MIN, PAD_MS_MAX = 3 * 3_600_000, 24 * 3_600_000
NEAR_SHOWN, FILINGS_SHOWN = 20, 1000
_TONES = {Verdict.RIGHT: "good", Verdict.FALSE: "bad", Verdict.TWICE: "bad", None: "plain"}


def report_of(
    material: Material, bundle: "Bundle", result: Result, judged: Judgement | None
) -> str:
    """The whole page."""
    cards = _Cards(material, bundle, result, judged)
    sections = [
        *_scores(judged),
        *cards.sections(),
        Section("All filings", [_filings(result, judged)]),
        *_near(result),
        *_refused(result),
    ]
    subtitle = "no messages"
    if result.messages:
        subtitle = f"{_short(result.first_ms)} to {_short(result.last_ms)} UTC"
    subtitle += f", {len(bundle.rules)} rules, bundle {bundle.version[:12]}"
    return page(Report("Backtest", subtitle, _numbers(result, judged), sections))


def _numbers(result: Result, judged: Judgement | None) -> dict[str, str]:
    numbers = {"readings": f"{result.readings:,}", "filings": f"{len(result.filings):,}"}
    if judged is not None:
        verdicts = list(judged.verdicts.values())
        right, twice = verdicts.count(Verdict.RIGHT), verdicts.count(Verdict.TWICE)
        false, missed = verdicts.count(Verdict.FALSE), len(judged.missed)
        numbers |= {"right": str(right), "false": str(false), "missed": str(missed)}
        numbers |= {"filed twice": str(twice)} if twice else {}
        numbers |= {"precision": _ratio(right, right + false)}
        numbers |= {"recall": _ratio(right, right + missed)}
    return numbers


def _scores(judged: Judgement | None) -> Iterator[Section]:
    if judged is None:
        return
    columns = ("rule", ">right", ">false", ">missed", ">twice", ">precision", ">recall", ">F1",
               ">filed after")  # fmt: skip
    rows = [
        (
            rule, str(one.tp), str(one.fp), str(one.fn), str(one.duplicates),
            _share(one.precision), _share(one.recall), _share(one.f1),
            "" if one.delay_s_median is None else duration(round(one.delay_s_median * 1000)),
        )
        for rule, one in judged.scores.items()
    ]  # fmt: skip
    note = f"{judged.ignored} labels are of other rules or another time." if judged.ignored else ""
    yield Section("Scores", [Table(columns, rows, note)])


class _Cards:
    """Missed labels and filings, as many as a reader takes, those that failed first."""

    def __init__(
        self, material: Material, bundle: "Bundle", result: Result, judged: Judgement | None
    ) -> None:
        self._bundle, self._result, self._judged = bundle, result, judged
        self._missed = list(judged.missed if judged else ())[: CARDS_MAX // 2]
        order = sorted(result.filings, key=lambda one: self._verdict(one) is Verdict.RIGHT)
        self._filings = _spread(order, CARDS_MAX - len(self._missed))
        shown: list[Filing | Missed] = [*self._missed, *self._filings]
        self._views = {id(one): self._view_of(one) for one in shown}
        views = [view for view in self._views.values() if view is not None]
        self._signals = Signals(material.city, views)
        self._members = {x.id: x.members for x in material.city.subjects() if x.members}
        if views:
            for received in told(material.messages(), "charts"):
                self._signals.feed(received)

    def sections(self) -> Iterator[Section]:
        if self._missed:
            total = len(self._judged.missed) if self._judged else 0
            note = f"The first {len(self._missed)} of {total}." if total > len(self._missed) else ""
            yield Section("Missed", [self._missed_card(one) for one in self._missed], note)
        failed = [one for one in self._filings if self._verdict(one) in ("false", "twice")]
        if failed:
            yield Section("False or twice", [self._filing_card(one) for one in failed])
        rest = [one for one in self._filings if one not in failed]
        if rest:
            total = len(self._result.filings) - len(failed)
            note = f"{len(rest)} of {total}; the table below has all." if total > len(rest) else ""
            title = "Filed" if self._judged is None else "Right"
            yield Section(title, [self._filing_card(one) for one in rest], note)

    def _verdict(self, filing: Filing) -> Verdict | None:
        return self._judged.verdicts.get(filing.number) if self._judged else None

    def _filing_card(self, filing: Filing) -> Card:
        verdict = self._verdict(filing)
        labels = self._judged.labels_of(filing) if self._judged else []
        facts = {
            "started": _short(filing.started_ms), "fired": _short(filing.fired_ms),
            "filed": _short(filing.filed_ms),
            "cleared": "not yet" if filing.cleared_ms is None else _short(filing.cleared_ms),
        }  # fmt: skip
        if filing.shadow:
            facts["mode"] = "shadow: not sent"
        alike = [x for x in labels if not x.must_file and _touches(x, filing)]
        if verdict is Verdict.FALSE and alike:
            facts["labels"] = "a look-alike that must not be filed"
        marks = [Mark("filed", filing.filed_ms)]
        figure = self._figure(self._views[id(filing)], labels, marks)
        badge = verdict or ("shadow" if filing.shadow else "filed")
        title = f"{filing.rule} · {_where(filing)}"
        return Card(badge, _TONES[verdict], title, filing.description, facts, figure)

    def _missed_card(self, missed: Missed) -> Card:
        label = missed.label
        end = "lasts" if label.end_ms is None else _short(label.end_ms)
        facts = {"from": _short(label.start_ms), "to": end}
        figure = self._figure(self._views[id(missed)], [label], [])
        return Card(
            "missed", "bad", f"{label.rule} · {_label_place(label)}", missed.why, facts, figure
        )

    def _view_of(self, one: Filing | Missed) -> View | None:
        last_ms = self._result.last_ms
        if isinstance(one, Filing):
            rule, subject = self._bundle.rules[one.rule], one.subject
            start_ms, lat, lon = one.started_ms, one.lat, one.long
            end_ms = max(one.filed_ms, one.cleared_ms or one.filed_ms)
        else:
            label = one.label
            rule = self._bundle.rules[label.rule]
            subject = subject_of(rule, label)
            start_ms, end_ms = label.start_ms, label.end_ms or label.start_ms
            lat, lon = label.lat or 0.0, label.lon or 0.0
        pad_ms = min(PAD_MS_MAX, max(PAD_MS_MIN, 4 * rule.gap_ms_max))
        since_ms = max(self._result.first_ms, start_ms - pad_ms)
        until_ms = min(last_ms, end_ms + pad_ms)
        if until_ms <= since_ms:
            return None
        return View(rule, subject, since_ms, until_ms, lat, lon)

    def _figure(
        self, view: View | None, labels: "Sequence[Label]", marks: Sequence[Mark]
    ) -> Figure | None:
        if view is None:
            return None
        last_ms = self._result.last_ms
        bands = [
            Band(one.phase, one.start_ms, last_ms if one.end_ms is None else one.end_ms)
            for one in self._result.stretches.get((view.rule.id, view.subject), ())
        ]
        truths = [
            Band("label", x.start_ms, last_ms if x.end_ms is None else x.end_ms)
            for x in labels
            if x.must_file
        ]
        lines = [*self._signals.lines(view), *self._dark(view)]
        limits = self._signals.limits(view)
        window = (view.since_ms, view.until_ms)
        return timeline(lines, limits, bands, truths, marks, window)

    def _dark(self, view: View) -> list[Line]:
        """Of a circuit: how many of its members a fault below stands on."""
        members = self._members.get(view.subject)
        if view.rule.scope != "circuit" or not members:
            return []
        steps: list[tuple[int, int]] = []
        for rule in view.rule.absorbs:
            for member in members:
                for one in self._result.stretches.get((rule, member), ()):
                    end_ms = self._result.last_ms if one.end_ms is None else one.end_ms
                    steps += [(one.start_ms, 1), (end_ms, -1)]
        points, count = [(view.since_ms, 0.0)], 0
        for at_ms, step in sorted(steps):
            points += [(at_ms, float(count)), (at_ms, float(count + step))]
            count += step
        inside = [point for point in points if view.since_ms <= point[0] <= view.until_ms]
        name = " or ".join(view.rule.absorbs)
        return [Line(f"members with {name}", "members", [*inside, (view.until_ms, inside[-1][1])])]


# -- tables ---------------------------------------------------------------------------------------


def _filings(result: Result, judged: Judgement | None) -> Table:
    columns = ("", "rule", "where", "started", "filed", "cleared", "description")
    rows = [
        (
            str(judged.verdicts[one.number]) if judged else "shadow" if one.shadow else "",
            one.rule, _where(one), _short(one.started_ms), _short(one.filed_ms),
            "" if one.cleared_ms is None else _short(one.cleared_ms), one.description,
        )
        for one in result.filings[:FILINGS_SHOWN]
    ]  # fmt: skip
    more = len(result.filings) - len(rows)
    notes = [f"{more} more are in the JSON."] if more else []
    if result.undecided:
        notes.append(f"{result.undecided} fired too near the end to be decided.")
    others = ", ".join(f"{count} {state}" for state, count in sorted(result.incidents.items()))
    return Table(columns, rows, " ".join([*notes, f"Incidents in all: {others or 'none'}."]))


def _near(result: Result) -> Iterator[Section]:
    if not result.near:
        return
    columns = ("rule", "where", "from", ">lasted", ">of its time", "then")
    rows = [_near_row(miss) for miss in result.near[:NEAR_SHOWN]]
    note = "Pending for at least half of what the rule asks for, and never fired."
    yield Section("Near misses", [Table(columns, rows)], note)


def _near_row(miss: NearMiss) -> tuple[str, ...]:
    share = f"{int(miss.share * 100)} %" if miss.share < 1 else "all, too few samples"
    lasted = duration(miss.end_ms - miss.start_ms)
    return miss.rule, miss.subject, _short(miss.start_ms), lasted, share, miss.cause


def _refused(result: Result) -> Iterator[Section]:
    if result.refusals:
        rows = [(reason, f"{count:,}") for reason, count in result.refusals.items()]
        note = "Messages that the gateway does not accept; no rule saw them."
        yield Section("Refused", [Table(("reason", ">messages"), rows)], note)


# -- words ----------------------------------------------------------------------------------------


def _spread(filings: Sequence[Filing], most: int) -> list[Filing]:
    """In their order, but no rule alone: each has its turn."""
    by_rule: dict[tuple[str], list[Filing]] = {}
    for filing in filings:
        by_rule.setdefault((filing.rule,), []).append(filing)
    turns = [(place, filing) for some in by_rule.values() for place, filing in enumerate(some)]
    chosen = {
        filing.number for _, filing in sorted(turns, key=lambda t: (t[0], t[1].number))[:most]
    }
    return [filing for filing in filings if filing.number in chosen]


def _touches(label: "Label", filing: Filing) -> bool:
    begun = label.start_ms <= filing.filed_ms
    return begun and (label.end_ms is None or label.end_ms >= filing.started_ms)


def _where(filing: Filing) -> str:
    return filing.asset_id or f"{filing.lat:.5f}, {filing.long:.5f}"


def _label_place(label: "Label") -> str:
    return label.asset_id or f"{label.lat:.5f}, {label.lon:.5f}"


def _short(at_ms: int) -> str:
    return rfc3339(at_ms)[:16].replace("T", " ")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"
