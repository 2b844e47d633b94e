"""The server for the staff: pages, the interface for programs, and what watchdogs ask.

Wires the rooms and owns their life, in a process of its own beside the gateway, so that nobody who
looks can hold up a reading. All that comes in passes the guard first.
"""

from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from nicegui import ui

from gateway import api
from gateway.config import ConsoleSection
from gateway.console import pages
from gateway.console.door import Door
from gateway.console.frame import Console
from gateway.console.sign_in import routes as ways_in
from gateway.staff.accounts import Accounts
from gateway.staff.deeds import Deeds, Via
from gateway.views.books import Books
from gateway.watch import logs
from gateway.web import vitals
from gateway.web.guard import Guard
from gateway.web.hosting import host
from gateway.web.sessions import Sessions

WS_BYTES_MAX = 1024 * 1024
OPEN_MAX = 1000
"""Connections at once: a hundred open tabs have some hundreds."""
RECONNECT_S = 10.0
"""So long a page waits for a browser that is gone for a moment."""


def serve(config_path: Path, ready: Callable[[str], None], *, port: int | None = None) -> None:
    """Until a signal. `ready` is told the address. ConfigError, OSError: the port is taken."""
    books = Books(config_path)
    logs.configure(books.config.logs.format)
    section = books.config.console or ConsoleSection()
    app = build(books, section)
    host(app, section, "console", ready, port=port, open_max=OPEN_MAX, ws_max_size=WS_BYTES_MAX)


def build(books: Books, section: ConsoleSection) -> Guard:
    """All of it, as one application."""
    accounts = Accounts(books.folder)
    sessions = Sessions(accounts, section.session_h)
    console = Console(books, Deeds(books, Via.CONSOLE), sessions, section)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes += vitals.routes(books)
    app.mount("/api/v1", api.build(books, Deeds(books, Via.API), accounts, console.who))
    app.include_router(ways_in(console, accounts))
    lines = pages.add_to(console)
    ui.run_with(
        app, title="sense311", dark=None, tailwind=False, show_welcome_message=False,
        reconnect_timeout=RECONNECT_S,
    )  # fmt: skip
    door = Door(app, lines, console.who)
    return Guard(door, section.hosts, tiles=section.tiles)
