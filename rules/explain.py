"""Why a rule is in the phase it is in, what would change that, and what stands in its way.

Pure: from the rule, its state, its conditions as they were judged and what became of its incident,
to an explanation that can be printed or sent as JSON. It judges nothing: truths, timers and waits
are those of the engine and of the book of incidents. Times are written by the caller's `written`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from rules.blockers import blockers, listed
from rules.clause import Clause, Value, clause_of, lines_of, names_in, sample_in
from rules.evidence import Evidence, Judgement, Standing, Written
from rules.flip import Need, nearest, needs, together, ways
from rules.instance import Phase, cover_ms
from rules.interpret import Traced
from rules.rule import Rule, Truth
from rules.wording import duration_text


@dataclass(frozen=True, slots=True)
class Explanation:
    """`changes`: what would move it on. `blocked`: what keeps it from firing, or from being filed.
    `notes`: what else is on record.
    """

    rule: str
    subject: str
    at: str
    phase: str
    blind: bool
    progress: str
    sample_at: str | None
    judged_at: str | None
    fires: Truth
    clauses: dict[str, Clause]
    names: tuple[Value, ...]
    sample: tuple[Value, ...]
    outlook: tuple[str, ...]
    changes: tuple[Need, ...]
    blocked: tuple[str, ...]
    incident: str = ""
    """What became of the last incident."""
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self, *, blockers_first: bool = False) -> Iterator[str]:
        """For people. `blockers_first`: as an answer to "why not?"."""
        progress = f" ({self.progress})" if self.progress else ""
        blind = ", blind" if self.blind else ""
        yield f"{self.rule}  {self.subject}  {self.at}  -> {self.phase}{blind}{progress}"
        told = [self._seen(), self._outlook(), self._blocked()]
        if blockers_first:
            told = [told[2], told[0], told[1]]
        for part in told:
            yield from part
        if self.incident:
            yield f" last incident: {self.incident}"
        yield from (f" {note}" for note in self.notes)

    def _seen(self) -> Iterator[str]:
        for name, clause in self.clauses.items():
            yield from _table(name, clause, len(self.clauses) > 1)
        for name, values in (("with", self.names), ("sample", self.sample)):
            if values:
                yield f" {name}: " + ", ".join(f"{item.name} = {item.value}" for item in values)
        if self.sample_at not in (None, self.at):
            yield f" last sample {self.sample_at}" + self._judged_since()

    def _judged_since(self) -> str:
        same = self.judged_at in (None, self.sample_at)
        return "" if same else f", judged last at {self.judged_at}"

    def _outlook(self) -> Iterator[str]:
        yield from (f" {line}" for line in self.outlook)

    def _blocked(self) -> Iterator[str]:
        if not self.blocked:
            yield " blocked by nothing"
        for line in self.blocked:
            yield f" blocked: {line}"


def explain(evidence: Evidence, written: Written) -> Explanation:
    """The explanation of one rule on one subject at one instant."""
    state, judged = evidence.state, evidence.judgement
    outlook, changes = _Outlook(evidence, written).told()
    return Explanation(
        evidence.rule.id,
        evidence.subject,
        written(evidence.at_ms),
        state.phase.value,
        state.blind,
        _progress(evidence, written),
        None if evidence.sample_ms is None else written(evidence.sample_ms),
        None if judged is None else written(judged.at_ms),
        None if judged is None else judged.fires,
        _clauses(evidence.rule, judged, state.phase),
        _names(evidence.rule, judged),
        _sample(evidence.rule, judged),
        tuple(outlook),
        tuple(changes),
        tuple(blockers(evidence, written)),
        _incident(evidence.standing, written),
    )


def _incident(standing: Standing | None, written: Written) -> str:
    if standing is None:
        return ""
    told = f"fired {written(standing.fired_ms)}, {standing.state}"
    if standing.filed_ms is not None:
        told += f" ({standing.service} at {written(standing.filed_ms)})"
    if standing.cleared_ms is not None:
        told += f", ended {written(standing.cleared_ms)}"
    return f"{told}: {standing.why}"


def _parts(rule: Rule, judged: Judgement | None) -> Iterator[tuple[str, Traced]]:
    if judged is None:
        return
    yield "when", judged.when
    if rule.unless is not None and judged.unless is not None:
        yield "unless", judged.unless
    if rule.clear is not None and judged.clear is not None:
        yield "clear", judged.clear


def _clauses(rule: Rule, judged: Judgement | None, phase: Phase) -> dict[str, Clause]:
    hidden = ("clear",) if phase in (Phase.OK, Phase.PENDING) else ()
    return {
        name: clause_of(whole, partial(rule.origins.of, name))
        for name, whole in _parts(rule, judged)
        if name not in hidden
    }


def _names(rule: Rule, judged: Judgement | None) -> tuple[Value, ...]:
    """Params as they are set, `let` names as they came out."""
    found = {name: Value(name, str(value)) for name, value in rule.params.items()}
    for _, whole in _parts(rule, judged):
        for item in names_in(whole):
            found.setdefault(item.name, item)
    return tuple(found.values())


def _sample(rule: Rule, judged: Judgement | None) -> tuple[Value, ...]:
    parts = [item for _, whole in _parts(rule, judged) for item in sample_in(whole)]
    return tuple({item.name: item for item in parts}.values())


def _table(name: str, clause: Clause, named: bool) -> Iterator[str]:
    rows = list(lines_of(clause, 1 if named else 0))
    if named:
        yield f" {name}:"
    width = min(60, max(len(text) for text, _, _ in rows))
    for text, truth, said in rows:
        yield f"  {text:<{width}}  {truth:<7}  {said}".rstrip()


# -- timers -----------------------------------------------------------------------------------


def _progress(evidence: Evidence, written: Written) -> str:
    rule, state = evidence.rule, evidence.state
    if state.phase is Phase.PENDING:
        return f"{evidence.held_text(rule.for_ms)} of {duration_text(rule.for_ms)}"
    if state.phase is Phase.FIRING:
        return f"since {written(state.fired_ms)}, begun {written(state.started_ms)}"
    if state.phase is Phase.CLEARING:
        return f"{evidence.held_text(rule.clear_for_ms)} of {duration_text(rule.clear_for_ms)}"
    return ""


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What would happen next, and what would make something else happen."""

    evidence: Evidence
    written: Written

    def told(self) -> tuple[list[str], Sequence[Need]]:
        judged = self.evidence.judgement
        if judged is None:
            return ["nothing has been judged yet: it has not reported what the rule reads"], ()
        match self.evidence.state.phase:
            case Phase.PENDING:
                return self._pending(judged)
            case Phase.FIRING:
                return self._firing(judged)
            case Phase.CLEARING:
                return self._clearing(judged)
            case _:
                return self._quiet(judged)

    def _quiet(self, judged: Judgement) -> tuple[list[str], Sequence[Need]]:
        ways = _way_to_fire(judged)
        then = _holding(self.evidence.rule)
        if ways is None:
            return ["nothing that could be reported next would make it true"], ()
        if not ways:
            return [f"the condition is true; it would fire {then or 'at the next sample'}"], ()
        return [f"would become true with: {listed(ways)}{', and fire ' + then if then else ''}"], (
            ways
        )

    def _pending(self, judged: Judgement) -> tuple[list[str], Sequence[Need]]:
        evidence, rule, state = self.evidence, self.evidence.rule, self.evidence.state
        stops = _way_to_stop(judged)
        if judged.fires is None or not state.running:
            return ["its timer stands still until the condition is known again"], stops or ()
        left_ms = max(0, rule.for_ms - state.held_ms)
        due = self.written(state.mark_ms + left_ms)
        line = f"would fire at {due} if {_keeping(stops)}"
        limit_ms = cover_ms(rule)
        if left_ms > limit_ms:
            by = self.written(state.mark_ms + limit_ms)
            line += f"; samples must go on coming, the next one by {by}"
        more = rule.samples_min - state.samples
        if more > 0:
            line += f"; {more} more sample{'s' if more > 1 else ''} must say so"
        lines = [line]
        if stops:
            lines.append(f"would end with: {listed(stops)}")
        if evidence.at_ms - state.mark_ms > rule.gap_ms_max:
            lines.append(
                f"no sample for longer than {duration_text(rule.gap_ms_max)}: it starts anew"
            )
        return lines, stops or ()

    def _firing(self, judged: Judgement) -> tuple[list[str], Sequence[Need]]:
        ways = _way_to_clear(judged)
        then = f" for {duration_text(self.evidence.rule.clear_for_ms)}"
        held = then if self.evidence.rule.clear_for_ms else ""
        if ways is None:
            return ["nothing that could be reported next would clear it"], ()
        if not ways:
            return [f"clears if this goes on{held}"], ()
        return [f"would clear with: {listed(ways)}{held}"], ways

    def _clearing(self, judged: Judgement) -> tuple[list[str], Sequence[Need]]:
        rule, state = self.evidence.rule, self.evidence.state
        back = nearest((_way_to_fire(judged), needs(judged.clear, False) if judged.clear else None))
        if not state.running:
            return ["its timer stands still until the clear condition is known again"], back or ()
        due = self.written(state.mark_ms + max(0, rule.clear_for_ms - state.held_ms))
        lines = [f"would be over at {due} if {_keeping(back)}"]
        if back:
            lines.append(f"would fire on with: {listed(back)}")
        return lines, back or ()


def _way_to_fire(judged: Judgement) -> Sequence[Need] | None:
    unless = needs(judged.unless, False) if judged.unless is not None else ()
    return together(needs(judged.when, True), unless)


def _ways_to_stop(judged: Judgement) -> list[Sequence[Need] | None]:
    excluded = ways(judged.unless, True) if judged.unless is not None else ()
    return [*ways(judged.when, False), *excluded]


def _way_to_stop(judged: Judgement) -> Sequence[Need] | None:
    return nearest(_ways_to_stop(judged))


def _way_to_clear(judged: Judgement) -> Sequence[Need] | None:
    """`when` no longer true, and `clear` true where the rule has one."""
    clear = needs(judged.clear, True) if judged.clear is not None else ()
    if judged.fires is not True:
        return clear if judged.clear is not None else _way_to_stop(judged)
    return nearest(together(stop, clear) for stop in _ways_to_stop(judged))


def _holding(rule: Rule) -> str:
    """What it takes beside a true condition."""
    told = [f"after {duration_text(rule.for_ms)} of it"] if rule.for_ms else []
    if rule.samples_min > 1:
        told.append(f"with {rule.samples_min} samples")
    return " ".join(told)


def _keeping(ends: Sequence[Need] | None) -> str:
    """What must not happen meanwhile."""
    stays = [need.stays for need in ends or ()]
    if len(stays) == 1 and stays[0]:
        return f"{stays[0]}, and the rest as it is"
    return "this goes on"
