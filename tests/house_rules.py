"""The house rules, each as a function of one module that yields what breaks it.

Who may import whom, which room may touch the outside, how large things may grow, what must not
stand in the text. A finding names file, line and what to do instead. The tables at the top say
which room may do what: a new library, shell or pure room is entered there.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gateway", "rules", "simulators")
LINES_MAX = 400
COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70

# The rooms that own one outside thing each -> the name of that thing. `app` wires them.
SHELLS = {
    "gateway.access.authority": "embedded",
    "gateway.access.credentials": "embedded",
    "gateway.access.embedded": "embedded",
    "gateway.access.hangup": "embedded",
    "gateway.access.logins": "embedded",
    "gateway.access.mosquitto": "embedded",
    "gateway.access.mosquitto_users": "embedded",
    "gateway.access.provisioning": "embedded",
    "gateway.access.self_test": "embedded",
    "gateway.books.audit": "store",
    "gateway.books.backup": "store",
    "gateway.books.by_hand": "store",
    "gateway.books.case_book": "store",
    "gateway.books.city_book": "store",
    "gateway.books.database": "store",
    "gateway.books.doubts": "store",
    "gateway.books.hall_book": "store",
    "gateway.books.ledger": "store",
    "gateway.books.public_book": "store",
    "gateway.books.rule_book": "store",
    "gateway.books.schema": "store",
    "gateway.books.store": "store",
    "gateway.books.survey": "store",
    "gateway.books.tally": "store",
    "gateway.broker": "broker",
    "gateway.cityhall.filing": "filing",
    "gateway.cityhall.georeport_http": "open311",
    "gateway.cityhall.open311": "open311",
    "gateway.console": "console",
    "gateway.history": "history",
    "gateway.line": "broker",
    "gateway.public": "public",
    "gateway.watch.status": "status",
    "gateway.watch.supervisor": "supervisor",
}

# Rooms that decide: functions of (state, event, time).
PURE = (
    "gateway/books/stored_rows.py",
    "gateway/cases/explanation.py",
    "gateway/cases/incident.py",
    "gateway/cases/incidents.py",
    "gateway/cases/neighbourhood.py",
    "gateway/cases/obeying.py",
    "gateway/cases/orders.py",
    "gateway/cases/places.py",
    "gateway/cases/preview.py",
    "gateway/cases/shelf.py",
    "gateway/cases/silences.py",
    "gateway/cityhall/catalogue.py",
    "gateway/cityhall/clearance.py",
    "gateway/cityhall/definition.py",
    "gateway/cityhall/delivery.py",
    "gateway/cityhall/entities.py",
    "gateway/cityhall/following.py",
    "gateway/cityhall/georeport_form.py",
    "gateway/cityhall/georeport_read.py",
    "gateway/cityhall/outbox.py",
    "gateway/cityhall/probe.py",
    "gateway/cityhall/rehearsal.py",
    "gateway/cityhall/requests.py",
    "gateway/cityhall/residents.py",
    "gateway/cityhall/telling.py",
    "gateway/codecs/*",
    "gateway/contract.py",
    "gateway/core.py",
    "gateway/effects.py",
    "gateway/errors.py",
    "gateway/exhibits/evidence.py",
    "gateway/field/asyncapi.py",
    "gateway/field/dead_letters.py",
    "gateway/field/device_status.py",
    "gateway/field/devices.py",
    "gateway/field/fleet.py",
    "gateway/field/notices.py",
    "gateway/field/published.py",
    "gateway/field/quota.py",
    "gateway/field/replies.py",
    "gateway/inventory/adoptable.py",
    "gateway/inventory/adoption.py",
    "gateway/inventory/asset_difference.py",
    "gateway/inventory/asset_writing.py",
    "gateway/inventory/ngsi_assets.py",
    "gateway/planning.py",
    "gateway/refusal.py",
    "gateway/staff/deed.py",
    "gateway/telemetry.py",
    "gateway/values.py",
    "gateway/views/response_times.py",
    "gateway/watch/condition.py",
    "gateway/watch/counters.py",
    "gateway/watch/health.py",
    "gateway/watch/metrics.py",
    "gateway/workbench/backtest.py",
    "gateway/workbench/charts.py",
    "gateway/workbench/difference.py",
    "gateway/workbench/impact.py",
    "gateway/workbench/inquiry.py",
    "gateway/workbench/signals.py",
    "gateway/workbench/tuning.py",
    "rules/*",
)
READS_FILES = (  # rule files, and what is in the package
    "rules/codes.py",
    "rules/files.py",
    "rules/syntax.py",
)
OUTSIDE = frozenset(
    {
        "asyncio", "http", "io", "logging", "multiprocessing", "os", "pathlib", "queue", "random",
        "secrets", "select", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "sys",
        "tempfile", "threading", "time", "urllib", "uuid",
    }
)  # fmt: skip
FILE_CALLS = frozenset({"open", "read_bytes", "read_text", "write_bytes", "write_text"})

# Where each library may be imported; `sqlite3` is here because it is the store's alone.
LIBRARIES = {
    "argon2": ("gateway/staff/passwords.py",),
    "aiomqtt": ("simulators/recorder.py", "simulators/uplink.py"),
    "dateutil": ("gateway/cases/silences.py",),
    "defusedxml": ("gateway/cityhall/georeport_read.py",),
    "httpx": ("gateway/cityhall/georeport_http.py", "gateway/cli/*"),
    "influxdb_client": ("gateway/history.py",),
    "lark": ("rules/*",),
    "babel": ("gateway/phrases.py", "gateway/public/tongue.py"),
    "fastapi": ("gateway/api/*", "gateway/console/sign_in.py", "gateway/web/server.py"),
    "jinja2": ("gateway/public/pages.py",),
    "nicegui": ("gateway/console/*", "gateway/web/server.py"),
    "prometheus_client": ("gateway/watch/metrics.py",),
    "structlog": ("gateway/watch/logs.py",),
    "matplotlib": ("gateway/exhibits/plot.py",),
    "msgspec": ("gateway/*", "rules/*", "simulators/wire.py", "simulators/wires/*"),
    "numpy": (
        "rules/almanac.py",
        "rules/columns.py",
        "rules/formulas.py",
        "rules/kleene.py",
        "rules/memories.py",
        "rules/occasions.py",
        "rules/series.py",
        "rules/shape.py",
        "rules/sieve.py",
        "rules/signal.py",
        "rules/sweep.py",
        "rules/windows.py",
        "simulators/*",
    ),
    "paho": (
        "gateway/broker.py",
        "gateway/access/self_test.py",
        "simulators/held_rate.py",
        "simulators/recorder.py",
    ),
    "pydantic": ("gateway/*", "simulators/desk/*", "simulators/scenario*.py"),
    "pydantic_core": ("gateway/contract.py",),
    "rich": ("gateway/cli/*",),
    "sqlite3": (
        "gateway/books/audit.py",
        "gateway/books/backup.py",
        "gateway/books/doubts.py",
        "gateway/books/tally.py",
        "gateway/books/by_hand.py",
        "gateway/books/city_book.py",
        "gateway/books/database.py",
        "gateway/books/ledger.py",
        "simulators/desk/ledger.py",
    ),
    "starlette": (
        "gateway/api/*",
        "gateway/console/*",
        "gateway/exhibits/evidence_http.py",
        "gateway/public/*",
        "gateway/web/*",
        "simulators/desk/*",
    ),
    "typer": ("gateway/cli/*",),
    "urllib3": ("gateway/history.py",),
    "watchfiles": ("gateway/cli/*",),
    "uvicorn": (
        "gateway/exhibits/evidence_http.py",
        "gateway/web/hosting.py",
        "simulators/desk/*",
    ),
    "yaml": ("rules/document.py", "simulators/marked_yaml.py"),
}

# Who may ask what time of day it is. The rest is given the time, or a Clock.
WALL_CLOCK = (
    "gateway/clock.py",
    "gateway/cli/*",
    "simulators/desk/server.py",
    "simulators/publisher.py",
    "simulators/recorder.py",
)
COMPILES = ("rules/codegen.py",)  # from the typed tree, never from text that a person wrote

# Put together here, so that this file does not break its own rule.
LEFT_OVER = re.compile("|".join([r"\bTO" + "DO", r"\bFIX" + "ME", r"\bX" + "XX"]))
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:wor" + "k|tm" + "p|roo" + "t|hom" + "e)/")
INDEX = re.compile(
    r"(?<!no-emit-)(?:index-" + r"url|trusted-" + r"host)\b|pypi\." + r"org|pythonhost" + "ed"
)


class Module:
    """One file of Python, parsed. `path` is relative to the project."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.tree = ast.parse(text)
        parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
        self.name = ".".join(parts)

    def within(self, patterns: tuple[str, ...]) -> bool:
        return any(fnmatch(self.path, pattern) for pattern in patterns)

    def imports(self) -> Iterator[tuple[int, str]]:
        """(line, full name of the module); `from gateway import store` is `gateway.store`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Every call, with what is called as it is written: `time.time`, `open`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node, ast.unparse(node.func)

    def finding(self, line: int, message: str) -> str:
        return f"{self.path}:{line}: {message}"


Check = Callable[[Module], Iterator[str]]


def import_law(module: Module) -> Iterator[str]:
    """Rooms import in one direction only."""
    for line, name in module.imports():
        if reason := _unlawful(module.name, name):
            yield module.finding(line, f"imports {name}: {reason}")


def _unlawful(who: str, what: str) -> str:
    mine, theirs = who.partition(".")[0], what.partition(".")[0]
    if what.startswith("."):
        return "import by the full name"
    if theirs not in PACKAGES:
        return ""
    in_cli = who == "gateway.cli" or who.startswith("gateway.cli.")
    if (what == "gateway.cli" or what.startswith("gateway.cli.")) and not in_cli:
        return "nothing imports the command line; move what is shared into a room"
    if mine == "rules" and theirs != "rules":
        return "rules knows nothing of the rest; hand it what it needs"
    if mine == "simulators" and theirs != "simulators":
        return "a shared mistake would hide; the simulators speak the format by themselves"
    if mine == "gateway" and theirs == "simulators" and not in_cli:
        return "only gateway/cli may start stand-ins"
    shell, other = _shell(who), _shell(what)
    if shell and other and shell != other:
        return f"{shell} and {other} are shells; let app hand over what is needed"
    return ""


def _shell(name: str) -> str:
    """The thing outside that a module, what is in it, or its house owns; empty: none."""
    parts = name.split(".")
    prefixes = (".".join(parts[:end]) for end in range(len(parts), 1, -1))
    return next((SHELLS[prefix] for prefix in prefixes if prefix in SHELLS), "")


def pure_rooms_stay_inside(module: Module) -> Iterator[str]:
    """A room that decides has no clock, no chance, no disk, no network, no threads."""
    if not module.within(PURE):
        return
    reads = module.within(READS_FILES)
    for line, name in module.imports():
        if name.split(".")[0] in OUTSIDE and not (reads and name.startswith("pathlib")):
            yield module.finding(line, f"imports {name} in a pure room; take the value as argument")
        if _shell(name):
            yield module.finding(line, f"imports {name}, a shell; declare a Protocol for it")
    for call, name in module.calls():
        if name.rpartition(".")[2] in FILE_CALLS and not reads:
            yield module.finding(
                call.lineno, f"{name}() in a pure room; the caller reads and writes"
            )


def libraries_in_their_rooms(module: Module) -> Iterator[str]:
    """Each library is imported in as few files as possible, so that it can be replaced."""
    for line, name in module.imports():
        top = name.split(".")[0]
        if (
            top in PACKAGES
            or top == ""
            or (top in sys.stdlib_module_names and top not in LIBRARIES)
        ):
            continue
        allowed = LIBRARIES.get(top)
        if allowed is None:
            yield module.finding(line, f"{top} is not in LIBRARIES: say there which room owns it")
        elif not module.within(allowed):
            yield module.finding(line, f"{top} belongs to {', '.join(allowed)}; ask that room")


def no_footguns(module: Module) -> Iterator[str]:
    """Calls that make a run differ from the last one, or run text as a program."""
    for call, name in module.calls():
        last, bare = name.rpartition(".")[2], not (call.args or call.keywords)
        if name in ("time.time", "time.time_ns") or last in ("utcnow", "today"):
            known = module.within(WALL_CLOCK)
            advice = "" if known else f"{name}(): take now_ms as argument, or a Clock"
        elif name.endswith("datetime.now"):
            advice = f"{name}(): take now_ms as argument, or a Clock"
        elif name in ("eval", "exec", "__import__", "importlib.import_module"):
            advice = f"{name}(): never run or import by text"
        elif name == "compile":
            advice = "" if module.within(COMPILES) else "compile(): only rules/codegen.py may"
        elif name == "print":
            advice = "print(): answer through gateway/cli/output.py, or log"
        elif last in ("Random", "default_rng") and bare:
            advice = f"{name}() without a seed: the same run could not be repeated"
        elif name.startswith(("random.", "np.random.", "numpy.random.")) and last.islower():
            advice = "" if last == "default_rng" else f"{name}(): draw from a seeded Random"
        elif last == "suppress" and any(ast.unparse(a) in BROAD for a in call.args):
            advice = f"{name}(Exception): name the error that is expected"
        else:
            continue
        if advice:
            yield module.finding(call.lineno, advice)


BROAD = ("Exception", "BaseException")


def no_swallowed_errors(module: Module) -> Iterator[str]:
    """An error is handled, told or passed on."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        if node.type is None:
            yield module.finding(node.lineno, "bare except; name the error that is expected")
        elif ast.unparse(node.type) in BROAD and all(map(_does_nothing, node.body)):
            yield module.finding(node.lineno, "swallows every error; name the one expected")


def _does_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass | ast.Continue) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def opens_with_its_promise(module: Module) -> Iterator[str]:
    """A module says what it owns and never does; a package may say it in a line."""
    lines = len((ast.get_docstring(module.tree) or "").splitlines())
    least = 1 if module.path.endswith("__init__.py") else 2
    if lines < least:
        yield module.finding(1, f"open with a docstring of {least} lines or more: the promise")


def functions_are_short(module: Module) -> Iterator[str]:
    """What does not fit a screen is two things."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                message = f"{node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}; split it"
                yield module.finding(node.lineno, message)


def rooms_are_small(module: Module) -> Iterator[str]:
    """A file that has grown hides a second noun."""
    lines = module.text.count("\n")
    if lines > LINES_MAX:
        yield module.finding(LINES_MAX, f"{lines} lines, at most {LINES_MAX}; find the second noun")


def lines_fit(module: Module) -> Iterator[str]:
    """Two files fit side by side."""
    for number, line in enumerate(module.text.splitlines(), 1):
        if len(line) > COLUMNS_MAX:
            yield module.finding(number, f"{len(line)} columns, at most {COLUMNS_MAX}; break it")


def text_is_clean(path: str, text: str) -> Iterator[str]:
    """Nothing is left over, and nothing points at one machine."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := LEFT_OVER.search(line):
            yield f"{path}:{number}: {found[0]}; do it, or write down what is missing and why"
        if MACHINE_PATH.search(line):
            yield f"{path}:{number}: a path of one machine; take it from the caller"
        if INDEX.search(line):
            yield f"{path}:{number}: names a package index; it must work with any"


CHECKS: tuple[Check, ...] = (
    import_law, pure_rooms_stay_inside, libraries_in_their_rooms, no_footguns, no_swallowed_errors,
    opens_with_its_promise, functions_are_short, rooms_are_small, lines_fit,
)  # fmt: skip


@cache
def modules(*folders: str) -> list[Module]:
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [Module(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths]
