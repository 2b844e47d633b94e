"""`rules check`: all that can be said of rule files without running them.

What `rules.files` refuses, and beyond it what the lints prove or advise. The lints look only at
bundles that are whole: while a rule is broken, that is told first, at most a hundred faults at a
time. Pure: text in, findings out, in the order of the files.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from rules.customs import CUSTOMS
from rules.document import FINDINGS_MAX
from rules.files import HIT, Loaded, loaded
from rules.finding import Finding
from rules.habits import HABITS
from rules.lints import PROOFS
from rules.names import Context
from rules.proof import Logic
from rules.rivals import rivals
from rules.rule import Bundle
from rules.suspect import Suspect

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_MEMBERS = Context("nothing", {}, has_attributes=False, has_history=False)


def check(
    sources: Mapping[str, str], overrides: Mapping[str, str] = _NOTHING
) -> tuple[Bundle | None, list[Finding]]:
    """The bundle, if no finding is an error, and all findings."""
    whole = loaded(sources, overrides)
    if whole.bundle is None:
        return None, whole.findings[:FINDINGS_MAX]
    found = {*whole.findings, *_linted(_suspects(whole))}
    findings = sorted(found, key=lambda f: (f.file, f.line, f.column, f.code, f.message))
    bundle = None if any(finding.is_error for finding in findings) else whole.bundle
    return bundle, findings


def _suspects(whole: Loaded) -> dict[str, Suspect]:
    suspects = {}
    logics: dict[tuple[str, str], tuple[Logic, Logic]] = {}
    for rule_id, head in whole.heads.items():
        built = whole.built.get(rule_id)
        if built is None or built.rule is None:
            continue
        context, about = whole.contexts[rule_id], (head.scope, head.sensor)
        if about not in logics:
            inner = HIT if head.scope == "place" else context.members or _NO_MEMBERS
            logics[about] = (Logic(context.ranges()), Logic(inner.ranges()))
        logic, within = logics[about]
        kin = (built.absorbed_by, built.absorbs)
        suspects[rule_id] = Suspect(built.rule, head, context, logic, within, *kin, built.used)
    return suspects


def _linted(suspects: Mapping[str, Suspect]) -> Iterator[Finding]:
    for suspect in suspects.values():
        # A template is its author's business; what it becomes with these values is the user's.
        lints = PROOFS if suspect.head.use else (*PROOFS, *HABITS, *CUSTOMS)
        for lint in lints:
            yield from lint(suspect)
    yield from rivals(suspects)
