"""The interface put together: routes that look, routes that act, one form of errors, its document.

A FastAPI application, mounted under /api/v1 by the console's server. Its OpenAPI document lies at
/api/v1/openapi.json; there is no page that draws it, since that would come from another host.
"""

from fastapi import FastAPI

from gateway.api import acting, faults, looking
from gateway.api.entry import Door, Who
from gateway.staff.accounts import Accounts
from gateway.staff.deeds import Deeds
from gateway.views.books import Books

ABOUT = """\
Incidents, requests, devices and rules of one sense311 gateway, and the deeds of people.

Every request needs a token with a role: `viewer` looks, `operator` steps in, `admin` changes what
the gateway does by itself. What is done or refused stands in the audit log with who and why.
Lists come the newest first, in pages: give `next` as `after`. Times are RFC 3339.
"""


def build(books: Books, deeds: Deeds, accounts: Accounts, who: Who) -> FastAPI:
    """`deeds`: those that come by way of the interface; `who`: of a session of the console."""
    app = FastAPI(
        title="sense311", version="1", description=ABOUT, docs_url=None, redoc_url=None,
        redirect_slashes=False, separate_input_output_schemas=False,
    )  # fmt: skip
    faults.add_to(app)
    door = Door(accounts, books.clock, who)
    app.include_router(looking.routes(books, door))
    app.include_router(acting.routes(books, deeds, door))
    return app
