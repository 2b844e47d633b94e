"""All pages of the console.

The list only: what is not here is not shown.
"""

from gateway.console import (
    city,
    devices,
    incident,
    incidents,
    log_page,
    planning,
    requests,
    rule_editor,
    rule_page,
    rules,
    sign_in,
)
from gateway.console.frame import Console, start_with
from gateway.console.lines import Lines

PAGES = (
    sign_in, city, incidents, incident, requests, rules, rule_editor, rule_page, devices, planning,
    log_page,
)  # fmt: skip
"""`/rules/edit` comes before `/rules/{rule}`."""


def add_to(console: Console) -> Lines:
    """The lines that they are connected by."""
    for page in PAGES:
        page.add_to(console)
    return start_with(console)
