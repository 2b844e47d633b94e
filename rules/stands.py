"""The assets of a test: `asset:`, `assets:` and `cabinet:` -> what stands in its city.

Guarantees that attributes are those that assets have, in their units, and that what is counted is
bounded before it is made. What a test leaves out stands at latitude 0, longitude 0, in a circuit
named C1 where there are several.
"""

import re
from collections.abc import Sequence as Items

from rules import settings
from rules.case import Stand
from rules.document import Node as YamlNode
from rules.document import Scalar, Sequence, near, quoted
from rules.feeds import number_of, series
from rules.fields import ATTRIBUTES, Field
from rules.names import Names
from rules.syntax import Refused

DEFAULT_PLACE = (0.0, 0.0)
CIRCUIT = "C1"
CABINET = "cabinet"
ASSETS_MAX = 1000
CURVE_MAX = 32
TEXTS = ("zone", "address", "owner", "circuit", "cabinet", "segment", "pickup", "time_zone")
"""Attributes that are words."""
_BY_NAME = {item.name: item for item in ATTRIBUTES.values()}
_KEYS = ("id", "lat", "lon", *_BY_NAME, *TEXTS, "dim_curve")
_LAT = Field("lat", "lat", "1", -90, 90)
_LON = Field("lon", "lon", "1", -180, 180)
_LEVEL = Field("dim_level_pct", "dim_level", "%", 0, 100)
_POWER = Field("active_power_w", "active_power", "W", 0, 2000)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RANGE = re.compile(r"([0-9]{1,6})(?:\s*\.\.\s*([0-9]{1,6}))?")


def fleet(
    kind: str,
    asset: Items[YamlNode],
    assets: YamlNode | None,
    cabinet: YamlNode | None,
    names: Names,
) -> tuple[Stand, ...]:
    """One asset, or as many alike as are asked for, and their cabinet. `asset`: what the tests say
    of it, the nearest last. Raises Refused.
    """
    said: dict[str, tuple[Scalar, YamlNode]] = {}
    count, lone = 1, assets is None
    if assets is not None:
        several = settings.mapping(assets, ("count", *_KEYS), "assets")
        node = settings.required(several, "count", "assets")
        count = settings.whole(node, names, "count", 1, ASSETS_MAX)
    for layer in (*asset, *([] if assets is None else [assets])):
        entries = settings.mapping(layer, ("count", *_KEYS) if layer is assets else _KEYS, "asset")
        said |= entries.entries
    said.pop("count", None)
    at = position_of(said, names)
    base = _id(said["id"][1]) if "id" in said else kind
    attributes = _attributes(said, names)
    if not lone or cabinet is not None:
        attributes.setdefault("circuit", CIRCUIT)
    ids = [base] if lone else [f"{base}-{i + 1}" for i in range(count)]
    stands = [Stand(one, kind, *at, attributes) for one in ids]
    if cabinet is not None:
        stands.append(Stand(CABINET, "cabinet", *at, {"circuit": attributes["circuit"]}))
    return tuple(stands)


def position(node: YamlNode, names: Names) -> tuple[float, float]:
    """`{lat: 41.88, lon: -87.63}`."""
    return position_of(settings.mapping(node, ("lat", "lon"), "place").entries, names)


def position_of(said: dict[str, tuple[Scalar, YamlNode]], names: Names) -> tuple[float, float]:
    lat, lon = (
        number_of(settings.text(said[item.name][1], item.name), item, names)
        if item.name in said
        else 0.0
        for item in (_LAT, _LON)
    )
    return lat, lon


def some(node: YamlNode, assets: Items[str]) -> tuple[int, int]:
    """`1..25`, or `7`: which of the assets, as a slice."""
    scalar = settings.text(node, "assets")
    match = _RANGE.fullmatch(scalar.text)
    first = int(match[1]) if match else 0
    last = int(match[2] or first) if match else 0
    if not 1 <= first <= last <= len(assets):
        hint = f"such as 1..{len(assets)}"
        message = f"{quoted(scalar.text)} is not a part of the {len(assets)} assets of this test"
        raise Refused(scalar.finding(0, "E005", message, hint))
    return first - 1, last


def which(scalar: Scalar, assets: Items[str]) -> str:
    """An asset by its id or its number."""
    if scalar.text in assets:
        return scalar.text
    if scalar.text.isdecimal() and len(scalar.text) < 7 and 1 <= int(scalar.text) <= len(assets):
        return assets[int(scalar.text) - 1]
    message = f"{quoted(scalar.text)} is not an asset of this test"
    raise Refused(scalar.finding(0, "E101", message, near(scalar.text, assets[:20])))


def _id(node: YamlNode) -> str:
    return settings.word(node, "an asset id", _ID).text


def _attributes(said: dict[str, tuple[Scalar, YamlNode]], names: Names) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, (_, node) in said.items():
        if name in _BY_NAME:
            item = _BY_NAME[name]
            (value,) = series(settings.text(node, name), item, names)
            found[item.key] = value
        elif name in TEXTS:
            found[name] = settings.text(node, name).text
        elif name == "dim_curve":
            found[name] = _curve(node, names)
    return found


def _curve(node: YamlNode, names: Names) -> tuple[tuple[float, float], ...]:
    """`[[50%, 32W], [100%, 60W]]`."""
    message = "dim_curve is a list of [level, power]: [[50%, 32W], [100%, 60W]]"
    if not isinstance(node, Sequence) or not 1 <= len(node.items) <= CURVE_MAX:
        raise Refused(
            node.finding(0, "E005", message)
            if isinstance(node, Scalar)
            else node.finding("E005", message)
        )
    points = []
    for item in node.items:
        pair = settings.words(item, "a point of dim_curve")
        if len(pair) != 2:
            raise Refused(node.finding("E005", message))
        level, power = pair
        points.append((number_of(level, _LEVEL, names), number_of(power, _POWER, names)))
    return tuple(points)
