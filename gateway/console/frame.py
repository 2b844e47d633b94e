"""The frame of every page: who is here, in which language, the head with its links, the state.

A page is shown to those who are signed in, and to nobody else. What it does for its visitor goes
through `Visit.carry_out`, which asks again who that is: a session that has ended acts no more. A
browser that goes away in between loses only the answer, never the deed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from inspect import isawaitable
from pathlib import Path
from typing import Any

from nicegui import Client, app, ui
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse

from gateway.config import ConsoleSection
from gateway.console.case_words import verdict
from gateway.console.door import to_sign_in
from gateway.console.lines import Lines
from gateway.console.parts import heading
from gateway.errors import ConfigError, StoreError
from gateway.phrases import Phrases, direction, moment, read_phrases
from gateway.staff.deeds import Deeds, Outcome
from gateway.staff.people import Person
from gateway.views.books import Books
from gateway.watch.logs import Log, Said
from gateway.web.sessions import COOKIE, Sessions
from rules.rule import LANGUAGES

LOOKS = ("auto", "light", "dark")
LOOK_COOKIE = "sense311_look"
LANGUAGE_COOKIE = "sense311_language"
PULSE_S = 0.5
"""How often it is looked whether anything has changed: once for all pages together."""
_SIGN_OUT = "fetch('/sign-out', {method: 'POST'}).then(() => location.assign('/sign-in'))"
_STYLE = Path(__file__).with_name("console.css").read_text("utf-8")

log = Log(__name__)
Build = Callable[["Visit"], Awaitable[None] | None]


@dataclass(slots=True)
class Console:
    """What all pages have in common."""

    books: Books
    deeds: Deeds
    sessions: Sessions
    section: ConsoleSection
    mark: tuple[Any, ...] = ()
    """Another value, whenever something happened: see `Books.mark`."""

    def page(self, path: str) -> Callable[[Build], Build]:
        """Register a page; what builds it gets the visit."""

        def register(build: Build) -> Build:
            @ui.page(path, response_timeout=30.0)
            async def shown(request: Request) -> RedirectResponse | None:
                person = self.who(request)
                if person is None:
                    return to_sign_in(request)
                await _built(build, self, request, person)
                return None

            return build

        return register

    def who(self, request: Request) -> Person | None:
        return self.sessions.who(request.cookies.get(COOKIE, ""), self.books.now_ms())

    def language_of(self, request: Request) -> str:
        """What the visitor chose, else what the configuration says, else the city's."""
        chosen = request.cookies.get(LANGUAGE_COOKIE, "")
        if chosen in LANGUAGES:
            return chosen
        try:
            return self.section.language or self.books.plans().profile.language
        except (ConfigError, StoreError):
            return "en"  # what is wrong has to be said in some language

    async def watch(self) -> None:
        """Until cancelled: notices that something happened, for all pages at once."""
        while True:
            if Client.instances:
                with suppress(ConfigError, StoreError):  # the pages say so themselves
                    self.mark = await asyncio.to_thread(self.books.mark)
            await asyncio.sleep(PULSE_S)


@dataclass(slots=True)
class Visit:
    """One page in one browser."""

    console: Console
    request: Request
    person: Person
    """Who opened the page; `carry_out` asks again."""
    client: Client
    words: Phrases = field(init=False)
    time_zone: str = field(init=False)

    def __post_init__(self) -> None:
        self.words = read_phrases(self.console.language_of(self.request))
        self.time_zone = self.books.plans().profile.timezone

    @property
    def books(self) -> Books:
        return self.console.books

    @property
    def path(self) -> dict[str, Any]:
        """The parts of the address that the page's path names."""
        return dict(self.request.path_params)

    @property
    def query(self) -> dict[str, str]:
        return dict(self.request.query_params)

    def time(self, at: int | str | None) -> str:
        """A moment, in ms or RFC 3339, as people here write it, on the city's clocks."""
        return moment(at, self.time_zone, self.words.language) if at else "-"

    @contextmanager
    def frame(self, title: str, here: str = "") -> Iterator[None]:
        """Everything around a page. `title`: its heading; `here`: the path of its link."""
        ui.page_title(f"{title} · sense311")
        set_up(self.words.language, self.request)
        with ui.header(elevated=False).classes("s-header"):
            ui.link("sense311", "/").classes("s-brand")
            self._links(here)
            ui.space()
            self._menu()
        with ui.element("div").classes("s-page") as content:
            self._state()
            heading(title, 1)
            yield
        ui.skip_link(self.words.say("Skip to the content"), target=content)

    def on_change(self, refresh: Callable[[], Awaitable[None] | None]) -> None:
        """Have `refresh` called whenever something happened at the gateway."""
        seen = [self.console.mark]

        async def look() -> None:
            if self.console.mark != seen[0]:
                seen[0] = self.console.mark
                result = refresh()
                if isawaitable(result):
                    await result

        ui.timer(PULSE_S, look)

    async def carry_out(self, deed: Callable[[Person], Outcome]) -> Outcome | None:
        """The deed, by whoever is signed in now, told to them; None: nobody is any more."""
        person = self.console.who(self.request)
        if person is None:
            self.tell(self.words.say("You are signed out; nothing was done."), good=False)
            return None
        outcome = await asyncio.to_thread(deed, person)
        self.tell(verdict(self.words, outcome), good=outcome.done)
        return outcome

    def tell(self, text: str, *, good: bool = True) -> None:
        """A line at the foot of the page, for those who see and those who hear it."""
        if self.client.has_socket_connection:
            with self.client.content:
                kind: Any = "positive" if good else "negative"
                ui.notify(text, type=kind, timeout=8000, close_button=self.words.say("Close"))

    # -- parts of the frame -------------------------------------------------------------------

    def _links(self, here: str) -> None:
        say = self.words.say
        links = (
            ("/", say("City")),
            ("/incidents", say("Incidents")),
            ("/requests", say("311")),
            ("/rules", say("Rules")),
            ("/devices", say("Devices")),
            ("/planning", say("Planning")),
            ("/log", say("Log")),
        )
        with ui.element("nav").classes("s-nav").props(f'aria-label="{say("Pages")}"'):
            for path, text in links:
                link = ui.link(text, path)
                if path == here:
                    link.props('aria-current="page"')

    def _menu(self) -> None:
        say = self.words.say
        names = {"en": "English", "es": "Español", "fr": "Français", "zh": "中文"}
        looks = dict(zip(LOOKS, (say("as the system"), say("light"), say("dark")), strict=True))
        label = say("{name}, {role}: settings", name=self.person.name, role=self.person.role)
        with ui.button(icon="account_circle").props("flat round").classes("s-menu") as button:
            button.props["aria-label"] = label
            with ui.menu().classes("s-menu-list"):
                ui.label(f"{self.person.name} · {self.person.role}").classes("s-who")
                for look, text in looks.items():
                    _choice(say("Look: {look}", look=text), LOOK_COOKIE, look)
                ui.separator()
                for language, text in names.items():
                    _choice(text, LANGUAGE_COOKIE, language)
                ui.separator()
                ui.menu_item(say("Sign out"), lambda: ui.run_javascript(_SIGN_OUT))

    def _state(self) -> None:
        """What is wrong with the gateway, as long as something is."""
        line = ui.label().classes("s-state").props('role="status"')

        def show() -> None:
            said = self.books.status()
            line.text = said["problem"]
            line.classes(remove="s-state-amber s-state-red", add=f"s-state-{said['state']}")
            line.visible = said["state"] != "green"

        show()
        ui.timer(5.0, show)


def set_up(language: str, request: Request) -> None:
    """Language, direction, light or dark, and the style of a page."""
    chosen = request.cookies.get(LOOK_COOKIE, "auto")
    ui.dark_mode({"light": False, "dark": True}.get(chosen))
    root, way = "document.documentElement", direction(language)
    ui.add_head_html(f'<script>{root}.lang="{language}";{root}.dir="{way}"</script>')
    ui.add_css(_STYLE)


def start_with(console: Console) -> Lines:
    """The watch begins with the server and ends with it."""
    lines = Lines(console.who)
    lines.bind()
    app.on_startup(lines.watch)
    app.on_startup(console.watch)

    def missing(request: Request, _error: Exception) -> PlainTextResponse:
        words = read_phrases(console.language_of(request))
        return PlainTextResponse(words.say("There is no such page"), 404)

    def broken() -> None:
        request = ui.context.client.request
        say = read_phrases(console.language_of(request)).say
        text = say("It has been noted. Come back in a minute.")
        _instead(console, request, say("Something went wrong here"), text)

    app.add_exception_handler(404, missing)
    app.on_page_exception(broken)
    ui.button.default_props("no-caps unelevated")
    # Else a bar without a name appears whenever a line of a page is being opened.
    app.config.quasar_config["loadingBar"]["skipHijack"] = True
    return lines


def _choice(text: str, cookie: str, value: str) -> None:
    keep = f"document.cookie='{cookie}={value}; path=/; max-age=31536000; samesite=strict'"
    ui.menu_item(text, lambda: ui.run_javascript(f"{keep};location.reload()"))


async def _built(build: Build, console: Console, request: Request, person: Person) -> None:
    """The page, or why there is none."""
    try:
        visit = Visit(console, request, person, ui.context.client)
    except (ConfigError, StoreError) as error:  # there is nothing to make its frame of
        _unreadable(error)
        title = read_phrases(console.language_of(request)).say("This page cannot be shown")
        _instead(console, request, title, str(error))
        return
    try:
        result = build(visit)
        if isawaitable(result):
            await result
    except (ConfigError, StoreError) as error:
        _unreadable(error)
        _clear(visit.client)
        with visit.frame(visit.words.say("This page cannot be shown")):
            ui.label(str(error))


def _instead(console: Console, request: Request, title: str, text: str) -> None:
    """A page that needs no books."""
    ui.page_title(f"{title} · sense311")
    set_up(console.language_of(request), request)
    with ui.element("main").classes("s-page"):
        heading(title, 1)
        ui.label(text)
        ui.link("sense311", "/")


def _clear(client: Client) -> None:
    """What stands of a page already: there shall be one heading."""
    client.content.clear()
    for element in list(client.layout.default_slot.children):
        if element is not client.page_container:
            element.delete()


def _unreadable(error: Exception) -> None:
    ui.context.client.status_code = 503
    log.warning(Said.BOOKS_UNREADABLE, "a page cannot be shown", why=error)
