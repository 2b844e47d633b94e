"""From the books to the evidence: an incident looked up, and the readings that speak for it; what
a rule made of them.

Reads beside the running gateway and writes nothing. The rules are those of the files: where they
were others when the fault was found, limits may be drawn that were not in force.
"""

from collections.abc import Callable, Iterator

from gateway.books.ledger import case_of, readings_of
from gateway.exhibits.evidence import Case, Evidence, gathered
from gateway.plans import Plans
from gateway.workbench.inquiry import (
    HISTORY_MS,
    Inquiry,
    Question,
    Received,
    Unanswerable,
    from_store,
    inquire,
)
from rules.evidence import Written
from rules.explain import Explanation

Find = Callable[[str], Evidence | None]
"""Reference of a request -> what speaks for it."""


def evidence_of(plans: Plans, *, incident: int = 0, reference: str = "") -> Evidence | None:
    """By the number of the incident, or the reference of its request. None: there is none, or its
    rule is not there any more. StoreBroken.
    """
    found = case_of(plans.config.store.folder / "sense311.db", incident, reference)
    if found is None:
        return None
    rule = plans.bundle.rules.get(found[0].rule)
    if rule is None:
        return None
    case = Case(found[0], rule, found[1])
    view = case.view()
    try:
        inquiry = inquire(
            Question(rule.id, case.incident.subject, view.until_ms), plans.city, plans.bundle
        )
    except Unanswerable:  # it does not stand in the city any more
        return gathered(case, plans.city, ())
    return gathered(case, plans.city, _messages(plans, inquiry, view.since_ms))


def explanation_of(plans: Plans, inquiry: Inquiry, written: Written) -> Explanation:
    """The rule judged again on what was kept up to that instant. Unanswerable, StoreBroken."""
    messages = _messages(plans, inquiry, inquiry.at_ms - HISTORY_MS)
    return inquiry.answer(messages, written, plans.settings_again())


def _messages(plans: Plans, inquiry: Inquiry, since_ms: int) -> Iterator[Received]:
    """Those that matter to it, from then on up to its instant."""
    devices = None if inquiry.needs_road else inquiry.devices
    database = plans.config.store.folder / "sense311.db"
    readings = readings_of(database, devices, inquiry.at_ms, since_ms=since_ms)
    return from_store(readings, follow=plans.config.ingest.clock == "follow")
