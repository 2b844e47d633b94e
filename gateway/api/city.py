"""The map over HTTP: what stands where, and how it is now, each with a tag.

Who has the latest asks for free: the answer has no body. Both are worked out once for all
who ask. Who may ask is settled by whoever includes these routes.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Query
from starlette.responses import Response

from gateway.views.asset_card import AssetCard, asset_card
from gateway.views.books import Books
from gateway.views.city import AssetsView, StatesView
from gateway.views.city_board import Answer, CityBoard

Tags = Annotated[str, Header(alias="If-None-Match", max_length=1_000)]
"""What the asker has, by HTTP's own means; browsers take its 304 for a failed request."""
Known = Annotated[str, Query(max_length=64, description="The tag that you have, without quotes.")]
_SAME: dict[int | str, dict[str, Any]] = {
    204: {"description": "Nothing is new since the tag in `known`."},
    304: {"description": "Nothing is new since the tag of If-None-Match."},
}


def city_routes(books: Books, board: CityBoard | None = None) -> APIRouter:
    """GET /city/assets, /city/states and /city/asset?id=. `board`: one that others use too."""
    board = board or CityBoard(books)
    router = APIRouter(prefix="/city", tags=["city"])

    @router.get("/assets", response_model=AssetsView, responses=_SAME)
    def city_assets(known: Known = "", if_none_match: Tags = "") -> Response:
        """Positions of all assets, by columns."""
        return _answered(board.assets(), known, if_none_match)

    @router.get("/states", response_model=StatesView, responses=_SAME)
    def city_states(known: Known = "", if_none_match: Tags = "") -> Response:
        """How each asset is, and the open incidents."""
        return _answered(board.states(), known, if_none_match)

    @router.get("/asset")
    def city_asset(
        asset_id: Annotated[str, Query(alias="id", min_length=1, max_length=128)],
    ) -> AssetCard:
        """One asset, with who speaks for it."""
        card = asset_card(books, asset_id)
        if card is None:
            raise HTTPException(404, "nothing of this name stands in the city")
        return card

    return router


def _answered(answer: Answer, known: str, tags: str) -> Response:
    tag = f'"{answer.tag}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-store"}
    if tag in tags:
        return Response(status_code=304, headers=headers)
    if known == answer.tag:
        return Response(status_code=204, headers=headers)
    return Response(answer.body, media_type="application/json", headers=headers)
