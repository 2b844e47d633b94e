"""What stands in the way of a rule's firing and of its filing, each thing in a sentence.

Says what the engine and the book of incidents hold back and why, from the evidence alone; decides
nothing itself.
"""

from collections.abc import Iterator, Sequence

from rules.evidence import Evidence, Standing, Written
from rules.flip import Need, missing, needs
from rules.instance import Phase
from rules.rule import Rule
from rules.wording import duration_text


def blockers(evidence: Evidence, written: Written) -> Iterator[str]:
    """What keeps a rule from firing, or from being filed; nothing where nothing does."""
    rule, state = evidence.rule, evidence.state
    if state.blind and evidence.sample_ms is not None:
        limit = f" ({duration_text(rule.blind_after_ms)})" if rule.blind_after_ms else ""
        yield f"blind: no sample since {written(evidence.sample_ms)}{limit}"
    if state.phase in (Phase.OK, Phase.PENDING):
        yield from _before_firing(evidence)
    elif evidence.standing is not None:
        yield from _before_filing(rule, evidence.standing, written)
    if rule.in_shadow:
        yield "mode: shadow, what it would file is only recorded"


def _before_firing(evidence: Evidence) -> Iterator[str]:
    rule, state, judged = evidence.rule, evidence.state, evidence.judgement
    if judged is None:
        yield "nothing judged: no sample yet with what the rule reads"
        return
    if judged.when.value is False:
        for need in needs(judged.when, True) or ():
            yield f"`when` is false: {need.text} is not so (now {need.now})"
        if needs(judged.when, True) is None:
            yield "`when` is false, and no value that can be reported would change it"
    for name, part in (("when", judged.when), ("unless", judged.unless)):
        if part is not None and part.value is None:
            yield f"`{name}` is unknown: {'; '.join(missing(part))}"
    if judged.unless is not None and judged.unless.value is True:
        ends = needs(judged.unless, False) or ()
        yield f"`unless` is true: {listed(ends) or 'for good'} would end that"
    if state.phase is Phase.PENDING and judged.fires is True:
        left = duration_text(max(0, rule.for_ms - state.held_ms))
        yield f"`for`: {evidence.held_text(rule.for_ms)} of {duration_text(rule.for_ms)}" + (
            f", {left} to go from the last sample" if state.held_ms < rule.for_ms else ""
        )
        if state.samples < rule.samples_min:
            yield f"`min_samples`: {state.samples} of {rule.samples_min}"


def _before_filing(rule: Rule, standing: Standing, written: Written) -> Iterator[str]:
    match standing.state:
        case "held":
            wait = "late samples"
            if rule.absorbed_by:
                wait += f" and for {' or '.join(rule.absorbed_by)}"
            if standing.parent:
                yield f"not filed yet: {standing.parent} is being judged"
            yield f"not filed yet: held until {written(standing.due_ms)} for {wait}"
        case "absorbed":
            yield f"not filed: explained by {standing.parent or 'its parent fault'}"
        case "noted":
            yield "not filed: the rule asks nothing of the city"
        case "withdrawn":
            yield f"not filed: {standing.why}"
        case _:
            return


def listed(found: Sequence[Need]) -> str:
    """What would have to be so, and how it is instead."""
    return ", ".join(f"{need.text} (now {need.now})" for need in found)
