"""The child that runs tests and backtests for the console: a job on standard input, answers on
standard output, a line of JSON each.

Started by `gateway.views.rule_runs`, for nobody else. It bounds its own memory and time, since the
rules that it runs were written a moment ago; it gives way to the gateway; it writes nothing.
"""

import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gateway.books.ledger import all_readings
from gateway.books.rule_book import answered_between, span_of
from gateway.cli.workbench.bench_answer import Told, answer_of
from gateway.cli.workbench.judgement import judge
from gateway.errors import ConfigError, StoreError
from gateway.plans import Plans, RuleTexts
from gateway.views.books import Books
from gateway.views.rule_results import (
    Answer,
    BacktestResult,
    CaseResult,
    Expected,
    Job,
    Progress,
    TestsResult,
    Trouble,
)
from gateway.views.rule_runs import RUN_S, SOFT_S
from gateway.views.rule_sheets import place_of
from gateway.views.workbench import shown
from gateway.workbench.backtest import Backtest
from gateway.workbench.inquiry import Received, from_store, spoken
from gateway.workbench.trial import relatives, run
from simulators.truth import LabelsError, read_labels

if TYPE_CHECKING:
    from gateway.workbench.trial import Outcome
    from rules.rule import Bundle, Rule
    from simulators.truth import Label

DATA_BYTES_MAX = 2 * 1024**3
NICE = 10
TOLD_EVERY_S = 0.4
LOOK_EVERY = 200
"""Messages between two looks at the clock."""
FINDINGS_MAX = 20
_TOGETHER = ("streetlight", "cabinet")


def main() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES_MAX, DATA_BYTES_MAX))
    seconds = int(RUN_S) + 10
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    os.nice(NICE)
    job = Job.model_validate_json(sys.stdin.buffer.read())
    try:
        _say(done(job))
    except MemoryError:
        _say(Answer(trouble=Trouble(code="memory")))


def done(job: Job) -> Answer:
    """The answer to a job."""
    try:
        bundle = _bundle_of(job.texts)
        if job.task == "test":
            return Answer(tests=_tests(job, bundle))
        return Answer(backtest=_Run(job, bundle).result())
    except ConfigError as error:
        order = sorted(error.findings, key=lambda one: (one.file != job.file, not one.is_error))
        findings = tuple(shown(finding) for finding in order[:FINDINGS_MAX])
        return Answer(trouble=Trouble(code="findings", findings=findings))
    except LabelsError as error:
        return Answer(trouble=Trouble(code="labels", text=str(error)))
    except (StoreError, OSError) as error:
        return Answer(trouble=Trouble(code="config", text=str(error)))


def _say(answer: Answer) -> None:
    sys.stdout.write(answer.model_dump_json() + "\n")
    sys.stdout.flush()


def _bundle_of(text: str) -> "Bundle":
    texts = RuleTexts.from_json(text)
    bundle, findings = texts.whole()
    if bundle is None:
        raise ConfigError(findings)
    return texts.without(bundle)


# -- tests ----------------------------------------------------------------------------------------


def _tests(job: Job, bundle: "Bundle") -> TestsResult:
    until_s = time.monotonic() + SOFT_S
    mine = _rules_of(job, bundle)
    cases: list[CaseResult] = []
    for rule in mine:
        family = relatives(rule.id, bundle)
        for case in rule.cases:
            if time.monotonic() > until_s:
                break
            began_s = time.perf_counter()
            outcome = run(case, family)
            cases.append(_told(outcome, time.perf_counter() - began_s))
    passed = sum(case.passed for case in cases)
    return TestsResult(
        cases=cases,
        passed=passed,
        failed=len(cases) - passed,
        without=[rule.id for rule in mine if not rule.cases],
        cut=len(cases) < sum(len(rule.cases) for rule in mine),
    )


def _rules_of(job: Job, bundle: "Bundle") -> "list[Rule]":
    """What the answer is about."""
    rules = bundle.rules.values()
    if job.focus:
        return [rule for rule in rules if rule.id in job.focus]
    return [rule for rule in rules if place_of(rule)[0] == job.file]


def _kinds(rules: "Iterable[Rule]") -> frozenset[str]:
    """Whose messages they hear. Lamps and cabinets explain each other's faults; of all others a
    kind stands alone.
    """
    sensors = {rule.sensor for rule in rules}
    return frozenset(sensors | (set(_TOGETHER) if sensors & set(_TOGETHER) else set()))


def _told(outcome: "Outcome", seconds: float) -> CaseResult:
    case = outcome.case
    return CaseResult(
        rule=case.rule, name=case.name, line=case.line, passed=outcome.passed,
        seconds=round(seconds, 4), timeline=[] if outcome.passed else list(outcome.timeline),
        failures=[Expected(line=f.line, expected=f.expected, got=f.got) for f in outcome.failures],
    )  # fmt: skip


# -- a backtest -----------------------------------------------------------------------------------


class _Run:
    """Rules, and where it is asked those in force beside them, over the stored history."""

    def __init__(self, job: Job, bundle: "Bundle") -> None:
        self._job, self._bundle = job, bundle
        self._plans: Plans = Books(job.config).plans()
        self._database = self._plans.config.store.folder / "sense311.db"
        self._follow = self._plans.config.ingest.clock == "follow"
        self._until_s = time.monotonic() + SOFT_S
        self._cut_ms: int | None = None
        self._kinds = _kinds(_rules_of(job, bundle))

    def result(self) -> BacktestResult:
        labels = _labels(self._job.labels)
        began_s = time.perf_counter()
        bundles = [self._narrowed(self._bundle)]
        if self._job.running:
            bundles.append(self._narrowed(_bundle_of(self._job.running)))
        runs = [
            Backtest(self._plans.city, bundle, self._plans.settings_again()) for bundle in bundles
        ]
        for received in self._heard():
            for each in runs:
                each.feed(received)
        results = [each.finish() for each in runs]
        result = results[0]
        told = Told(
            plans=self._plans,
            sides=list(zip(bundles, results, strict=True)),
            focus=[rule.id for rule in _rules_of(self._job, self._bundle)],
            cut_ms=self._cut_ms,
            seconds=time.perf_counter() - began_s,
            messages=self._messages,
            answered=answered_between(self._database, result.first_ms, result.last_ms),
            judged=judge(result, bundles[0], labels) if labels else None,
        )
        return answer_of(told)

    def _messages(self, since_ms: int, until_ms: int) -> Iterator[Received]:
        kept = all_readings(
            self._database, since_ms=since_ms, until_ms=until_ms, by_receipt=not self._follow
        )
        return from_store(kept, follow=self._follow)

    def _heard(self) -> Iterator[Received]:
        """What the rules in question can hear, and the last of all messages: with it time ends."""
        kinds, last = self._kinds, None
        for received in self._watched():
            wanted = spoken(received.message.topic)[0] in kinds
            last = None if wanted else received
            if wanted:
                yield received
        if last is not None:
            yield last

    def _narrowed(self, bundle: "Bundle") -> "Bundle":
        """To the rules that hear those messages."""
        kept = {name: rule for name, rule in bundle.rules.items() if rule.sensor in self._kinds}
        return replace(bundle, rules=kept)

    def _watched(self) -> Iterator[Received]:
        """The messages of the period, as far as there is time for them, and how far it is."""
        first_ms, last_ms = span_of(self._database, by_receipt=not self._follow) or (0, 0)
        since_ms, until_ms = max(self._job.since_ms, first_ms), min(self._job.until_ms, last_ms)
        next_s = 0.0
        for count, received in enumerate(self._messages(self._job.since_ms, self._job.until_ms)):
            yield received
            if count % LOOK_EVERY:
                continue
            now_s = time.monotonic()
            if now_s > self._until_s:
                self._cut_ms = received.at_ms
                return
            if now_s >= next_s:
                next_s = now_s + TOLD_EVERY_S
                share = (received.at_ms - since_ms) / max(1, until_ms - since_ms)
                share = min(1.0, max(0.0, share))
                _say(Answer(progress=Progress(messages=count, at_ms=received.at_ms, share=share)))


def _labels(text: str) -> "list[Label]":
    """LabelsError: they cannot be read."""
    if not text.strip():
        return []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "labels.csv"
        path.write_text(text, "utf-8", newline="")
        try:
            return read_labels(path)
        except LabelsError as error:
            raise LabelsError(str(error).replace(str(path), "labels")) from None


if __name__ == "__main__":
    main()
