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
    sign_in,
)
from gateway.console.frame import Console, start_with


def add_to(console: Console) -> None:
    for page in (sign_in, city, incidents, incident, requests, devices, planning, log_page):
        page.add_to(console)
    start_with(console)
