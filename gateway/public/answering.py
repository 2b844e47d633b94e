"""Questions that come over HTTP, and how each is answered: a page, data, or the standard's words.

Whatever is asked is answered from a record in memory; a crowd cannot reach the books. Each answer
is made once and kept while the record is the same, by two threads at the most. Sets no cookie,
keeps no list of who asked, and names no other host but that of the map's tiles.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.public import georeport, open_data, pages
from gateway.public.answers import Answer, Kept, Packed, packed
from gateway.public.asked import PARAMS, QUERY_CHARS_MAX, Asked, BadQuestionError
from gateway.public.files import read_files
from gateway.public.georeport import Form
from gateway.public.latest import Latest
from gateway.public.site import Site
from gateway.public.tongue import Tongue, preferred, tongue
from gateway.views.public_record import Record
from gateway.watch.logs import Log, Said
from rules.rule import LANGUAGES

MAKERS = 2  # threads that make answers

log = Log(__name__)

Make = Callable[[Record, Asked], Answer]
MakePage = Callable[[Record, Asked, Tongue, Site], Answer]
MakeData = Callable[[Record, Asked, Tongue], Answer]
MakeStandard = Callable[[Record, Asked, Tongue, Form], Answer]


class Answering:
    """Questions in, answers out."""

    def __init__(self, site: Site, clock: Clock, latest: Latest) -> None:
        self._site = site
        self._clock = clock
        self._latest = latest
        self._kept = Kept()
        self._files = read_files()
        self._makers = ThreadPoolExecutor(MAKERS, "public-answers")
        self._policy = policy_for(site.section.tiles)

    def application(self) -> Starlette:
        page, data = self._page_route, self._data_route
        return Starlette(
            routes=[
                page("/", pages.front),
                page("/about", pages.about),
                data("/data.geojson", open_data.geojson),
                data("/data.csv", open_data.rows_csv),
                data("/response-times.csv", open_data.times_csv),
                Route("/static/{name}", self._file, methods=["GET"]),
                Route("/healthz", _alive, methods=["GET"]),
                *self._georeport_routes(),
            ],
            exception_handlers={HTTPException: self._refused, Exception: self._broken},
        )

    # -- kinds of routes ----------------------------------------------------------------------

    def _page_route(self, path: str, make: MakePage) -> Route:
        def made(record: Record, asked: Asked) -> Answer:
            return make(record, asked, self._tongue(asked), self._site)

        async def answer(request: Request) -> Response:
            return await self._answer(request, self._asked(request, by_browser=True), made)

        return Route(path, answer, methods=["GET"])

    def _data_route(self, path: str, make: MakeData) -> Route:
        def made(record: Record, asked: Asked) -> Answer:
            try:
                return make(record, asked, self._tongue(asked))
            except BadQuestionError as error:
                return Answer(f"{error}\n".encode(), "text/plain; charset=utf-8", 400)

        async def answer(request: Request) -> Response:
            return await self._answer(request, self._asked(request), made, shared=True)

        return Route(path, answer, methods=["GET"])

    def _georeport_routes(self) -> Iterator[Route]:
        """Each path in both forms."""
        for form in Form:
            for path, make in (
                ("/discovery", georeport.discovery),
                ("/services", georeport.services),
                ("/services/{code:path}", georeport.definition),
                ("/requests", georeport.requests),
                ("/requests/{number:path}", georeport.request),
            ):
                yield self._georeport_route(f"{georeport.ROOT}{path}.{form}", make, form)

    def _georeport_route(self, path: str, make: MakeStandard, form: Form) -> Route:
        def made(record: Record, asked: Asked) -> Answer:
            tongue = self._tongue(asked)
            return georeport.answered(form, lambda: make(record, asked, tongue, form))

        async def answer(request: Request) -> Response:
            asked = self._asked(request)
            if "number" in request.path_params:
                asked = replace(asked, request_id=request.path_params["number"])
            elif path.startswith(f"{georeport.ROOT}/discovery"):
                asked = replace(asked, root=self._site.root(request.headers.get("host", "")))
            return await self._answer(request, asked, made, shared=True)

        return Route(path, answer, methods=["GET"])

    # -- one answer ---------------------------------------------------------------------------

    def _asked(self, request: Request, *, by_browser: bool = False) -> Asked:
        if len(request.url.query) > QUERY_CHARS_MAX:
            raise HTTPException(400)
        params = {name: text for name, text in request.query_params.items() if text}
        named = params.pop("lang", "")
        language = named if named in LANGUAGES else self._site.language
        if by_browser and named not in LANGUAGES:
            language = preferred(request.headers.get("accept-language", ""), language)
        return Asked(
            path=request.url.path,
            params=tuple(sorted(item for item in params.items() if item[0] in PARAMS)),
            language=language,
            chosen=named in LANGUAGES,
            today=self._site.date_at(self._clock.now_ms()),
        )

    def _tongue(self, asked: Asked) -> Tongue:
        return tongue(asked.language, self._site.time_zone)

    async def _answer(
        self, request: Request, asked: Asked, make: Make, *, shared: bool = False
    ) -> Response:
        """`shared`: other sites may read it too."""

        def found() -> Packed:
            record = self._latest.record()
            return self._kept.get((record.version, asked), lambda: make(record, asked))

        try:
            made = await asyncio.get_running_loop().run_in_executor(self._makers, found)
        except StoreError as error:
            log.warning(Said.BOOKS_UNREADABLE, "the books cannot be read", why=error)
            raise HTTPException(503) from error
        response = self._sent(request, made)
        if shared:
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    def _sent(self, request: Request, made: Packed) -> Response:
        """What the asker has already is not sent again."""
        answer = made.answer
        vary = ", ".join(filter(None, (answer.headers.get("Vary"), "Accept-Encoding")))
        headers = {**answer.headers, "Vary": vary, "Content-Security-Policy": self._policy}
        headers["Cache-Control"] = "no-store"
        if answer.status == 200:
            headers["Cache-Control"] = f"public, max-age={answer.max_age_s}"
            headers["ETag"] = f'W/"{made.tag}"'
            if _has(request, made.tag):
                return Response(status_code=304, headers=headers)
        body = answer.body
        if made.small is not None and "gzip" in request.headers.get("accept-encoding", ""):
            body, headers["Content-Encoding"] = made.small, "gzip"
        return Response(body, answer.status, headers, answer.media_type)

    async def _file(self, request: Request) -> Response:
        made = self._files.get(request.path_params["name"])
        if made is None:
            raise HTTPException(404)
        return self._sent(request, made)

    # -- what is not answered -----------------------------------------------------------------

    async def _refused(self, request: Request, error: Exception) -> Response:
        """In the standard's words where the standard is spoken, else as a page."""
        assert isinstance(error, HTTPException)
        path, status = request.url.path, error.status_code
        if path.startswith(georeport.ROOT):
            form = Form.JSON if path.endswith(".json") else Form.XML
            made = georeport.fault(form, status, _STANDARD_WORDS.get(status, "not possible"))
        else:
            asked = self._plainly(request)
            made = pages.problem(status, asked, self._tongue(asked), self._site)
        headers = {**made.headers, **(error.headers or {})}
        if status == 503:
            headers["Retry-After"] = "10"
        return self._sent(request, packed(replace(made, headers=headers)))

    async def _broken(self, request: Request, error: Exception) -> Response:
        """A fault of ours: told to the log, not to the asker."""
        log.failure(Said.PAGE_FAILED, "a page failed", error, path=request.url.path)
        asked = self._plainly(request)
        made = pages.problem(500, asked, self._tongue(asked), self._site)
        return self._sent(request, packed(made))

    def _plainly(self, request: Request) -> Asked:
        """Of what was asked only the language."""
        language = request.query_params.get("lang", "")
        chosen = language in LANGUAGES
        if not chosen:
            said = request.headers.get("accept-language", "")
            language = preferred(said, self._site.language)
        return Asked(path=request.url.path, language=language, chosen=chosen)


_STANDARD_WORDS = {
    404: "there is no such path: services, requests and discovery, as .json or .xml",
    405: "this interface can be read only: GET",
    400: "the address is too long",
    503: "the data cannot be read now",
}


def policy_for(tiles: str | None) -> str:
    """No script and no style but our files; pictures of the map's tiles from where they are."""
    pictures = ""
    if tiles:
        scheme, _, rest = tiles.partition("://")
        pictures = f" {scheme}://{rest.partition('/')[0].replace('{s}', '*')}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"img-src 'self' data:{pictures}; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


def _has(request: Request, tag: str) -> bool:
    said = request.headers.get("if-none-match", "")
    return said.strip() == "*" or any(
        part.strip().removeprefix("W/").strip('"') == tag for part in said.split(",")
    )


async def _alive(_request: Request) -> Response:
    return Response("ok\n", media_type="text/plain", headers={"Cache-Control": "no-store"})
