"""The server for residents: in a process of its own, beside the gateway, read only.

Wires the rooms and owns their life. All that comes in passes the guard first.
"""

from collections.abc import Callable
from pathlib import Path

from gateway.clock import Clock, SystemClock
from gateway.public.answering import Answering
from gateway.public.latest import Latest
from gateway.public.site import Site, read_site
from gateway.views.public_record import Choice, Record, read_record
from gateway.views.response_times import times_of
from gateway.watch import logs
from gateway.web.guard import Guard
from gateway.web.hosting import host

OPEN_MAX = 500
"""Connections at once."""


def serve(config_path: Path, ready: Callable[[str], None], *, port: int | None = None) -> None:
    """Until a signal. `ready` is told the address. ConfigError, OSError: the port is taken."""
    site = read_site(config_path)
    logs.configure(site.log_format)
    app = build(site)
    host(
        app, site.section, "public", ready, port=port, open_max=OPEN_MAX, ws="none", lifespan="off"
    )


def build(site: Site, clock: Clock | None = None, latest: Latest | None = None) -> Guard:
    """All of it, as one application."""

    def read(before: Record | None) -> Record:
        record = read_record(site.database, site.profile, before)
        times_of(record, Choice())  # of all time, before somebody waits for it
        return record

    answering = Answering(site, clock or SystemClock(), latest or Latest(read))
    return Guard(answering.application(), site.section.hosts, section="public")
