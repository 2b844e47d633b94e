"""The audit log as it is shown: who did or tried what, whence, why, and what came of it.

A page at a time, the newest first; nothing is left out of it and nothing can be changed.
"""

from gateway.books.audit import NEWEST, PAGE_ROWS_MAX, entries_of
from gateway.views.books import Books
from gateway.views.requests import Record


class AuditLine(Record):
    """`code`: how it ended; "waiting": it is given, and nothing more is known of it yet."""

    id: int
    at: str
    who: str
    role: str
    via: str
    deed: str
    subject: str
    why: str
    code: str
    text: str


class AuditList(Record):
    """`next`: what to give as `before` for the page behind this one; None: this is the last."""

    entries: list[AuditLine]
    next: int | None


def audit_of(
    books: Books,
    before: int | None = None,
    limit: int = 100,
    *,
    who: str = "",
    deed: str = "",
    subject: str = "",
) -> AuditList:
    """StoreBroken: there are no books yet."""
    limit = min(max(limit, 1), PAGE_ROWS_MAX)
    found = entries_of(
        books.database, before=before or NEWEST, limit=limit + 1, who=who, deed=deed,
        subject=subject,
    )  # fmt: skip
    more = found[limit - 1].id if len(found) > limit else None
    return AuditList(
        entries=[AuditLine(**one.as_dict()) for one in found[:limit]],
        next=more,
    )
