"""The way in and out: a form, a cookie, and its end.

A plain form of HTML, since only an answer over HTTP can set a cookie that no script reads. It is
said what was wrong, but never whether it was the name or the password.
"""

from typing import Any

from fastapi import APIRouter
from nicegui import ui
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse

from gateway.console.frame import Console, set_up
from gateway.console.parts import heading
from gateway.phrases import Phrases, read_phrases
from gateway.staff.accounts import Accounts, NotLetIn
from gateway.web.sessions import COOKIE, drop_cookie, is_secure, set_cookie

FIELD_CHARS_MAX = 1000


def add_to(console: Console) -> None:
    @ui.page("/sign-in")
    def sign_in(request: Request) -> RedirectResponse | None:
        onward = _local(request.query_params.get("next", ""))
        if console.who(request) is not None:
            return RedirectResponse(onward, 303)
        language = console.language_of(request)
        set_up(language, request)
        _form(read_phrases(language), onward, request.query_params.get("why", ""))
        return None


def routes(console: Console, accounts: Accounts) -> APIRouter:
    """What the form, and the button to sign out, are sent to."""
    router = APIRouter(include_in_schema=False)

    @router.post("/sign-in")
    async def enter(request: Request) -> RedirectResponse:
        form = await request.form(max_files=0, max_fields=3)
        name, password, onward = (
            str(form.get(key, ""))[:FIELD_CHARS_MAX] for key in ("name", "password", "next")
        )
        now_ms = console.books.now_ms()
        entry = await run_in_threadpool(accounts.sign_in, name, password, now_ms)
        answer = RedirectResponse(_local(onward), 303)
        if isinstance(entry, NotLetIn):
            again = request.url_for("enter").include_query_params(next=_local(onward), why=entry)
            answer.headers["location"] = f"{again.path}?{again.query}"
            return answer
        sessions = console.sessions
        sessions.end(request.cookies.get(COOKIE))
        secure = is_secure(request.url.scheme, request.scope["headers"])
        cookie = set_cookie(sessions.begin(entry, now_ms), sessions.seconds, secure=secure)
        answer.headers["set-cookie"] = cookie
        return answer

    @router.post("/sign-out")
    async def leave(request: Request) -> RedirectResponse:
        console.sessions.end(request.cookies.get(COOKIE))
        secure = is_secure(request.url.scheme, request.scope["headers"])
        headers = {"set-cookie": drop_cookie(secure=secure)}
        return RedirectResponse("/sign-in", 303, headers)

    return router


def _form(words: Phrases, onward: str, why: str) -> None:
    say = words.say
    ui.page_title(f"{say('Sign in')} · sense311")
    form = ui.element("form").props("method=post action=/sign-in").classes("s-card s-sign-in")
    form.props["aria-label"] = say("Sign in")
    with form:
        heading("sense311", 1)
        if told := _told(words, why):
            ui.label(told).props("role=alert").classes("s-state s-state-red")
        ui.input(say("Name")).props("name=name autocomplete=username autofocus required")
        ui.input(say("Password"), password=True).props(
            "name=password autocomplete=current-password required"
        )
        ui.element("input").props("type=hidden name=next").props["value"] = onward
        ui.button(say("Sign in")).props("type=submit")
        ui.label(
            say("Accounts are made by whoever runs the gateway: sense311 users add NAME")
        ).classes("s-quiet")


def _told(words: Phrases, why: str) -> str:
    say = words.say
    told: dict[str, str] = {
        NotLetIn.WRONG: say("The name or the password is wrong."),
        NotLetIn.WAITS: say("This name was tried too often: try again in five minutes."),
        NotLetIn.BUSY: say("Too many sign in at this moment: try again."),
        NotLetIn.CLOSED: say("Nobody can sign in: the log of the gateway says why."),
    }
    return told.get(why, "")


def _local(address: str) -> str:
    """A page of ours: nobody is led elsewhere by a link to the way in."""
    strange: Any = "\\" in address or any(sign <= " " for sign in address)
    return address if address[:1] == "/" and address[1:2] != "/" and not strange else "/"
