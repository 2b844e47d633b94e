"""From the books to the evidence: an incident looked up, and the readings that speak for it.

Reads beside the running gateway and writes nothing. The rules are those of the files: where they
were others when the fault was found, limits may be drawn that were not in force.
"""

from collections.abc import Callable

from gateway.evidence import Case, Evidence, gathered
from gateway.inquiry import Question, Unanswerable, from_store, inquire
from gateway.ledger import case_of, readings_of
from gateway.plans import Plans

Find = Callable[[str], Evidence | None]
"""Reference of a request -> what speaks for it."""


def evidence_of(plans: Plans, *, incident: int = 0, reference: str = "") -> Evidence | None:
    """By the number of the incident, or the reference of its request. None: there is none, or its
    rule is not there any more. StoreBroken.
    """
    database = plans.config.store.folder / "sense311.db"
    found = case_of(database, incident, reference)
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
    devices = None if inquiry.needs_road else inquiry.devices
    readings = readings_of(database, devices, view.until_ms, since_ms=view.since_ms)
    follow = plans.config.ingest.clock == "follow"
    return gathered(case, plans.city, from_store(readings, follow=follow))
