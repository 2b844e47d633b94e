"""Settings of a rule that work against each other, and what a good rule has: texts, tests, owners.

The lints of everything but conditions. Each is one function of a suspect. What is asked for here is
what the shipped rules themselves have.
"""

import re
from collections.abc import Iterator

from rules.bounds import interval, verdict
from rules.document import Scalar
from rules.document import Sequence as YamlSequence
from rules.finding import Finding
from rules.functions import names as functions
from rules.lints import Lint
from rules.names import BUILT_IN
from rules.suspect import Asked, Suspect, is_measured
from rules.tree import Node, Op, in_unit, walk
from rules.units import ONE

_HOLE = re.compile(r"\{\s*([A-Za-z_][\w.]*)")
_IDS = ("asset.id", "circuit.id", "zone.id", "place.id")
_ABOUT_TIME = ("started_at", "firing_for")
_NOT_MEASURED = (*_IDS, *_ABOUT_TIME)


def gap_within_for(suspect: Suspect) -> Iterator[Finding]:
    """W201: `for` longer than the gap that is allowed by default."""
    rule = suspect.rule
    if rule.for_ms > rule.gap_ms_max and suspect.key("cover", "max_gap") is None:
        message = f"for is longer than cover.max_gap, which is {_minutes(rule.gap_ms_max)}: "
        message += "a sensor that reports less often never fires it"
        hint = "add cover: {max_gap: ...}, twice the sensor's interval"
        yield suspect.at(_scalar(suspect, "for"), "W201", message, hint)


def early_blindness(suspect: Suspect) -> Iterator[Finding]:
    """W202: blind before a gap or `for` can run out."""
    rule, hold = suspect.rule, suspect.rule.blind_after_ms
    if hold is None:
        return
    for limit, keys in ((rule.gap_ms_max, ("cover", "max_gap")), (rule.for_ms, ("for",))):
        if hold < limit and suspect.key(*keys) is not None:
            name = ".".join(keys)
            message = f"no_data.hold ends before {name}: {name} has no effect beyond it"
            hint = f"make no_data.hold longer than {_minutes(limit)}"
            yield suspect.at(_scalar(suspect, "no_data", "hold"), "W202", message, hint)
            return


def lateness_beyond_gap(suspect: Suspect) -> Iterator[Finding]:
    """W203: filing waits for late samples longer than for its sensor."""
    rule = suspect.rule
    limit = max(rule.gap_ms_max, rule.blind_after_ms or 0)
    if suspect.key("lateness") is not None and rule.lateness_ms > limit:
        message = f"filing waits {_minutes(rule.lateness_ms)} for late samples"
        message += f", longer than the {_minutes(limit)} that a sensor may be silent"
        hint = "make lateness shorter than cover.max_gap"
        yield suspect.at(_scalar(suspect, "lateness"), "W203", message, hint)


def urgent_but_waiting(suspect: Suspect) -> Iterator[Finding]:
    """W204: urgent, but it waits all the same."""
    rule = suspect.rule
    if rule.file is None or not rule.file.urgent or not (rule.for_ms or rule.samples_min > 1):
        return
    key = "for" if rule.for_ms else "cover"
    message = f"urgent, yet it waits for {key}"
    hint = f"remove {key}: an urgent rule fires with its first sample"
    yield suspect.at(suspect.key(key), "W204", message, hint)


def unseen_silence(suspect: Suspect) -> Iterator[Finding]:
    """W205: a fault whose sensor falls silent stays firing, and nobody sees that it is blind."""
    rule = suspect.rule
    if suspect.files and rule.scope == "asset" and rule.blind_after_ms is None:
        message = "no no_data: when the sensor falls silent, it goes on as it was, unseen"
        hint = "add no_data: {hold: ...}, some intervals of the sensor"
        if rule.when.fields:
            yield suspect.at(None, "W205", message, hint)


def single_sample(suspect: Suspect) -> Iterator[Finding]:
    """W206: one sample sends somebody out."""
    rule = suspect.rule
    if rule.file is None or rule.file.urgent or rule.scope != "asset" or rule.on_tick:
        return
    tree = suspect.asked["when"].tree
    remembers = any(node.detail is not None and "over" in node.op.value for node in walk(tree))
    is_sampled = any(is_measured(node) for node in walk(tree)) and not remembers
    if is_sampled and not rule.for_ms and rule.samples_min == 1:
        message = "one sample files a request: a single wrong reading sends somebody out"
        hint = "add for: ..., or cover: {min_samples: 2}"
        yield suspect.at(suspect.key("when"), "W206", message, hint)


def useless_ends(suspect: Suspect) -> Iterator[Finding]:
    """W207: a param may be set to a value with which a comparison is decided for ever."""
    for asked in suspect.asked.values():
        for part in asked.parts if asked.name != "unless" else ():  # it may be switched off
            if part.node.op is Op.COMPARE and (reason := _useless_end(suspect, asked, part.node)):
                yield suspect.within(asked, "W207", *reason, part.node)


def bare_params(suspect: Suspect) -> Iterator[Finding]:
    """W208, W209: params that may be set to anything, or say nothing of themselves."""
    if suspect.head.use:
        return
    for name, param in suspect.head.known.items():
        if name in suspect.used and param.low is None and param.default.unit is not None:
            hint = "add range: [lowest, highest]"
            message = f"param {name!r} has no range: it may be set to anything"
            yield param.scalar.finding(0, "W208", message, hint)
        if name in suspect.used and not param.doc:
            hint = "add doc: what it is, and what moves when it is changed"
            yield param.scalar.finding(0, "W209", f"param {name!r} has no doc", hint)


def hidden_names(suspect: Suspect) -> Iterator[Finding]:
    """W210: a let name that hides something built in."""
    lets = suspect.value("let")
    known = {*BUILT_IN, *functions()}
    for name, (key, _) in getattr(lets, "entries", {}).items():
        if name in known:
            message = f"{name!r} is built in: readers will take it for that"
            yield suspect.at(key, "W210", message, f"another name, such as my_{name}")


def absorbed_and_lost(suspect: Suspect) -> Iterator[Finding]:
    """W213: it takes over the faults of others and asks for nothing."""
    if suspect.children and not suspect.files:
        message = "absorbs other rules but files nothing: their faults reach nobody"
        yield suspect.at(suspect.key("absorbs"), "W213", message, "add file:, or remove absorbs")


def untested(suspect: Suspect) -> Iterator[Finding]:
    """W215: no tests."""
    tests = suspect.value("tests")
    if tests is None or (isinstance(tests, YamlSequence) and not tests.items):
        hint = "add tests: with one case that fires, one that does not and one that clears"
        yield suspect.at(None, "W215", "no tests", hint)


def unheard(suspect: Suspect) -> Iterator[Finding]:
    """W216: nothing is filed and nobody owns it."""
    if not suspect.files and not suspect.head.owner:
        message = "nothing is filed and nobody owns it: who would look?"
        yield suspect.at(None, "W216", message, "add owner: to the file, or file: to the rule")


def anonymous_title(suspect: Suspect) -> Iterator[Finding]:
    """W217: a title that is the same for every asset."""
    if not set(_holes(suspect.rule.title)) & {*_IDS, "asset.address"}:
        wanted = f"{suspect.rule.scope}.id"
        message = "the title is the same for all of them"
        hint = f"name the one: {{{wanted}}}"
        yield suspect.at(_scalar(suspect, "title"), "W217", message, hint)


def empty_description(suspect: Suspect) -> Iterator[Finding]:
    """W218: a description without a value tells the crew nothing."""
    if suspect.rule.file is None or not suspect.context.fields:
        return
    holes = _holes(suspect.rule.file.description.text)
    if all(hole in _NOT_MEASURED for hole in holes):
        message = "the description names nothing that was measured"
        fields = sorted(suspect.context.fields)
        hint = f"add what the crew wants to know, such as {{{fields[0]}}}"
        yield suspect.at(_scalar(suspect, "file", "description"), "W218", message, hint)


CUSTOMS: tuple[Lint, ...] = (
    gap_within_for, early_blindness, lateness_beyond_gap, urgent_but_waiting, unseen_silence,
    single_sample, useless_ends, bare_params, hidden_names, absorbed_and_lost, untested, unheard,
    anonymous_title, empty_description,
)  # fmt: skip


def _useless_end(suspect: Suspect, asked: Asked, node: Node) -> tuple[str, str] | None:
    """What a comparison of something with a bare param comes to at the ends of its range."""
    for index, side in enumerate(node.args):
        param = suspect.head.known.get(asked.quoted(side))
        if param is None or side.op is not Op.NUMBER or side.unit is None:
            continue
        for end in (param.low, param.high):
            if end is None or end.unit is None or end.unit.dimension != side.unit.dimension:
                continue
            value = in_unit(end, side.unit).number
            sides = [interval(arg, suspect.ranges) for arg in node.args]
            sides[index] = (value, value)
            decided = verdict(str(node.detail), sides[0], sides[1])
            if decided is None:
                continue
            shown = f"{float(value):g}{'' if side.unit == ONE else f' {side.unit}'}"
            outcome = "always" if decided else "never"
            message = (
                f"with {param.name} at {shown}, which its range allows, this is {outcome} true"
            )
            return message, f"narrow the range of {param.name}"
    return None


def _scalar(suspect: Suspect, *keys: str) -> Scalar | None:
    node = suspect.value(*keys)
    return node if isinstance(node, Scalar) else None


def _holes(text: str) -> list[str]:
    return _HOLE.findall(text.replace("{{", ""))


def _minutes(duration_ms: int) -> str:
    return f"{duration_ms / 60_000:g}min"
