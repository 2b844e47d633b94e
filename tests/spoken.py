"""Every text that people read, as it stands in the code: what `languages/` has to translate.

Found where it is said: the literal first argument of `say(...)` in Python and in the templates of
the public page. A text that is put together cannot be translated, so it is not allowed.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, nodes

ROOT = Path(__file__).resolve().parent.parent
HOLE = re.compile(r"\{[^{}]*\}")


def spoken() -> dict[str, str]:
    """Each text, and where it stands first."""
    found: dict[str, str] = {}
    for text, where in sorted(_all(), key=lambda one: one[1]):
        found.setdefault(text, where)
    return found


def glued() -> list[str]:
    """Where something is said that is no literal."""
    found = []
    for path, call in _calls():
        if _literal(call) is None:
            found.append(f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)[:80]}")
    return found


def _all() -> Iterator[tuple[str, str]]:
    for path, call in _calls():
        text = _literal(call)
        if text is not None:
            yield text, f"{path.relative_to(ROOT)}:{call.lineno:05}"
    environment = Environment(autoescape=True)
    for path in sorted((ROOT / "gateway" / "public" / "templates").glob("*.html")):
        tree = environment.parse(path.read_text("utf-8"))
        for call in tree.find_all(nodes.Call):
            name = getattr(call.node, "name", "")
            if name == "say" and isinstance(call.args[0], nodes.Const):
                yield call.args[0].value, f"{path.relative_to(ROOT)}:{call.lineno:05}"


def _calls() -> Iterator[tuple[Path, ast.Call]]:
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and _says(node) and "cli" not in path.parts:
                yield path, node


def _says(call: ast.Call) -> bool:
    return ast.unparse(call.func).rpartition(".")[2] == "say"


def _literal(call: ast.Call) -> str | None:
    first = call.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
