"""Files that the page is shown with: our style and script, and Leaflet as NiceGUI brings it.

All are read once, by name, from a fixed list: no path of an asker reaches the disk, and no browser
is sent to another host.
"""

from importlib.util import find_spec
from pathlib import Path

from gateway.public.answers import Answer, Packed, packed

MAX_AGE_S = 300  # after an upgrade the style is old no longer than that
_OWN = {
    "public.css": "text/css; charset=utf-8",
    "map.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_LEAFLET = {
    "leaflet.js": ("index.js", "text/javascript; charset=utf-8"),
    "leaflet.css": ("leaflet/leaflet.css", "text/css; charset=utf-8"),
}


def read_files() -> dict[str, Packed]:
    """Name -> the file. Without NiceGUI there is no Leaflet, and the page no map."""
    own = Path(__file__).parent / "static"
    found = {name: (own / name, media_type) for name, media_type in _OWN.items()}
    spec = find_spec("nicegui")
    if spec is not None and spec.origin is not None:
        bundle = Path(spec.origin).parent / "elements" / "leaflet" / "dist"
        found |= {name: (bundle / path, kind) for name, (path, kind) in _LEAFLET.items()}
    return {
        name: packed(Answer(path.read_bytes(), kind, max_age_s=MAX_AGE_S))
        for name, (path, kind) in found.items()
        if path.is_file()
    }
