"""The City page: a map of what stands in the city, how it is, and what is open.

The browser fetches positions and states from the HTTP interface by itself, once a second, and
draws them; this room says only what is written on the page and where tiles come from.
"""

from typing import Any

import nicegui.elements.leaflet  # noqa: F401 -- makes the map's library known to pages
from nicegui import ui

from gateway.console.case_words import device_states
from gateway.console.frame import Console, Visit
from gateway.phrases import Phrases
from gateway.views.city import STATES


class CityMap(ui.element, component="city_map.js", esm={"sense311-city": "city_map"}):
    """The map with its filters, its legend and the list of what is in view."""

    def __init__(self, visit: Visit) -> None:
        super().__init__()
        section = visit.console.section
        shown: dict[str, Any] = {
            "texts": texts(visit.words),
            "kinds": kinds(visit.words),
            "names": list(STATES),
            "tiles": section.tiles or "",
            "credit": section.tiles_credit or "",
            "language": visit.words.language,
            "time-zone": visit.time_zone,
        }
        for name, value in shown.items():
            self._props[name] = value


def add_to(console: Console) -> None:
    @console.page("/")
    def city(visit: Visit) -> None:
        with visit.frame(visit.words.say("City"), "/"):
            CityMap(visit)


def kinds(words: Phrases) -> dict[str, str]:
    """What stands there, in words; also what incidents are about beside assets."""
    return {
        "streetlight": words.say("Street light"),
        "cabinet": words.say("Cabinet"),
        "road": words.say("Road segment"),
        "bin": words.say("Bin"),
        "place": words.say("Place on the road"),
        "circuit": words.say("Circuit"),
        "zone": words.say("Zone"),
    }


def texts(words: Phrases) -> dict[str, Any]:
    """What stands on the page, holes left open where the browser fills them."""
    return {
        **_controls(words),
        **_findings(words),
        "state": {
            "ok": words.say("In order"),
            "shadow": words.say("In shadow, not filed"),
            "silent": words.say("Not heard"),
            "verifying": words.say("Repaired, says the city; being checked"),
            "filed": words.say("Filed, at the city"),
            "fault": words.say("Fault, not yet at the city"),
            "waiting": words.say("Waits for a person"),
        },
        "device": {str(state): text for state, text in device_states(words).items()},
    }


def _controls(words: Phrases) -> dict[str, Any]:
    return {
        "filters": words.say("What the map shows"),
        "kind": words.say("Kind"),
        "zone": words.say("Zone"),
        "rule": words.say("Rule"),
        "all": words.say("All"),
        "states": words.say("States: choose what is shown"),
        "find": words.say("Find an asset by its name"),
        "show": words.say("Show"),
        "clear": words.say("Show everything"),
        "zoomIn": words.say("Zoom in"),
        "zoomOut": words.say("Zoom out"),
        "close": words.say("Close"),
        "map": words.say("Map of the city"),
        "keys": words.say(
            "With the keyboard: arrows move the map, plus and minus zoom, Enter picks what is "
            "nearest to its middle. Everything that is open stands in the table below too."
        ),
    }


def _findings(words: Phrases) -> dict[str, Any]:
    return {
        "legend": words.say("What the signs mean"),
        "anIncident": words.say("An open incident"),
        "aRequest": words.say("An incident with a request"),
        "aCluster": words.say("Several assets; below their number, those with a fault"),
        "picked": words.say("What was picked"),
        "stateLabel": words.say("State"),
        "cityId": words.say("Number at the city"),
        "explains": words.say("Explains other faults"),
        "devices": words.say("Devices"),
        "heard": words.say("{state}, last heard {time}", state="{state}", time="{time}"),
        "incident": words.say("Incident {number}", number="{number}"),
        "several": words.say("{count} incidents here", count="{count}"),
        "open": words.say("Open incidents in view"),
        "columns": [
            words.say("Incident"),
            words.say("Rule"),
            words.say("Where"),
            words.say("State"),
            words.say("Since"),
            words.say("On the map"),
        ],
        "showOne": words.say("Show incident {number} on the map", number="{number}"),
        "listed": words.say(
            "{shown} of {count} in view are listed.", shown="{shown}", count="{count}"
        ),
        "noneInView": words.say("None is in view."),
        "more": words.say("{count} more are open and not on the map.", count="{count}"),
        "line": words.say(
            "{assets} assets and {incidents} open incidents are shown.",
            assets="{assets}",
            incidents="{incidents}",
        ),
        "notFound": words.say("There is no asset of this name."),
        "signedOut": words.say("You are signed out: sign in to see what is new."),
        "lost": words.say("The server does not answer; what is shown may be old."),
    }
