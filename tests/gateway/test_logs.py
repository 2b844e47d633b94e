"""What the process says of itself: lines that nobody can forge, codes that are all explained."""

import ast
import io
import json
import logging
import re
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.watch.logs import (
    FACT_CHARS_MAX,
    WORDS_CHARS_MAX,
    Log,
    Said,
    configure,
    quoted,
    shortened,
)

ROOT = Path(__file__).resolve().parents[2]
LEVELS = {"info", "warning", "error", "critical", "exception", "failure", "end"}
OTHERS = {"debug", "log", "warn", "fatal", "msg"}
LOGGERS = {"log", "_log", "logger", "logging"}
LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR|CRITICAL) [\w.]+: .* \[(\w+)\]"
)
FORGED = 'x"\n2026-01-15T20:05:00.000Z CRITICAL app: forged [disk_full]\r\x1b[2J\u2028\u202e'


@pytest.fixture
def written():
    """Configures a form and gives the stream; afterwards all is as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook

    def configured(form):
        stream = io.StringIO()
        configure(form, stream)
        return stream

    yield configured
    structlog.reset_defaults()
    root.handlers[:], sys.excepthook, threading.excepthook = before[0], before[2], before[3]
    root.setLevel(before[1])


def test_a_line_for_people(written):
    """When, how bad, where, what, with which facts, and the code to search for."""
    stream = written("text")
    Log("gateway.cityhall.filing").warning(
        Said.DESK_DOWN, "no answer", desk="city", why="timed out", tries=5
    )

    line = stream.getvalue()
    assert LINE.fullmatch(line.rstrip("\n"))[2] == "desk_down"
    assert line[24:] == (
        ' WARNING cityhall.filing: no answer desk="city" why="timed out" tries=5 [desk_down]\n'
    )


def test_an_object_for_machines(written):
    """The same, each fact under its own name."""
    stream = written("json")
    log = Log("gateway.cityhall.filing")
    log.error(Said.DESK_DOWN, "no answer", desk="cité", tries=5, ratio=0.5)

    told = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("timestamp"))
    assert told == {
        "level": "error", "room": "cityhall.filing", "reason": "desk_down", "event": "no answer",
        "desk": "cité", "tries": 5, "ratio": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_device_cannot_forge_a_line(form, written):
    """Line breaks, control characters and quotes in a fact, a library's words or an exception."""
    stream = written(form)
    log = Log("gateway.app")
    log.warning(Said.CORE_FAILED, "a batch broke the core", topic=FORGED)
    logging.getLogger("some.library").warning("said %s", FORGED)
    log.failure(Said.CORE_FAILED, "a batch broke the core", ValueError(FORGED))

    lines = stream.getvalue().splitlines()  # at every separator that there is
    if form == "json":
        codes = [json.loads(line)["reason"] for line in lines]
    else:
        codes = [LINE.fullmatch(line)[2] for line in lines if not line.startswith("    ")]
    assert codes == ["core_failed", "library", "core_failed"]
    assert "".join(lines).isprintable()


@given(st.text())
def test_a_quoted_fact_is_one_printable_line_and_reads_back(text):
    """Nothing of it can end its quotes, and nothing is taken from it."""
    told = quoted(text)
    assert told.isprintable()
    assert not re.search(r'(?<!\\)(\\\\)*"', told[1:-1])
    with suppress(UnicodeEncodeError):  # lone surrogates
        text.encode()
        assert ast.literal_eval(told) == text


@pytest.mark.parametrize(
    ("name", "most"),
    [("topic", FACT_CHARS_MAX), ("device", FACT_CHARS_MAX), ("why", WORDS_CHARS_MAX)],
)  # fmt: skip
def test_facts_are_cut(name, most):
    """Words of others to 64 characters, sentences to 500; a number stays one."""
    assert shortened(name, "d" * 5000) == "d" * (most - 1) + "…"
    assert shortened(name, "d" * most) == "d" * most
    assert shortened(name, 5) == 5
    assert shortened(name, float("nan")) == "nan"


def test_a_fact_cannot_take_the_place_of_what_every_line_has(written):
    """Whatever a fact is called."""
    stream = written("json")
    Log("gateway.app").info(Said.STARTED, "it starts", level="critical", reason="x", event="y")
    told = json.loads(stream.getvalue())
    assert (told["level"], told["reason"], told["event"]) == ("info", "started", "it starts")


def test_libraries_and_structlog_speak_in_the_same_form(written):
    """Through the one stream, under a code of their own, and not at length."""
    stream = written("json")
    logging.getLogger("uvicorn.error").warning("a%s", "b" * 5000)
    structlog.get_logger("other").warning("hello", why="x")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["room"], line["reason"]) for line in lines] == [
        ("uvicorn.error", "library"), ("other", "library"),
    ]  # fmt: skip
    assert len(lines[0]["event"]) == 2000


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_thread_that_dies_is_told_with_its_traceback(form, written):
    """In the form of all lines; the traceback is set in, so that it starts none."""
    stream = written(form)

    def fail():
        raise RuntimeError("out of paper")

    thread = threading.Thread(target=fail, name="history")
    thread.start()
    thread.join()

    first, *rest = stream.getvalue().splitlines()
    if form == "json":
        told = json.loads(first)
        assert (told["reason"], told["thread"], rest) == ("thread_failed", "history", [])
        assert "out of paper" in told["exception"]
    else:
        assert LINE.fullmatch(first)[2] == "thread_failed"
        assert 'thread="history"' in first
        assert "RuntimeError: out of paper" in rest[-1]
        assert all(line.startswith("    ") for line in rest)


def test_what_ends_the_process_is_told(written):
    """An exception that nobody handled; not an interruption by hand."""
    stream = written("text")
    error = RuntimeError("out of ink")
    sys.excepthook(RuntimeError, error, None)
    assert LINE.fullmatch(stream.getvalue().splitlines()[0])[2] == "process_failed"
    assert "out of ink" in stream.getvalue()


def test_without_configuration_a_line_has_its_facts(caplog):
    """For whoever collects what Python's own logging hands out."""
    Log("gateway.x").warning(Said.DESK_DOWN, "no answer", why="a\nb")
    assert caplog.messages == ['no answer why="a\\nb"']
    assert caplog.records[0].reason == "desk_down"


# -- the vocabulary -------------------------------------------------------------------------------


def calls():
    """(where, method, first arguments) of each call of a logger in the gateway."""
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        if path.name == "logs.py" and path.parent.name == "watch":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            of = node.func.value
            called = of.func if isinstance(of, ast.Call) else of  # `Log("x").info(...)`
            name = ast.unparse(called).rpartition(".")[2]
            if name in LOGGERS | {"Log"} and node.func.attr in LEVELS | OTHERS:
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield where, node.func.attr, node.args


def coded():
    """{code: levels at which it is said}"""
    own = {Said.LIBRARY: {"any"}, Said.THREAD_FAILED: {"critical"}}
    found = own | {Said.PROCESS_FAILED: {"critical"}}
    for _, method, args in calls():
        if args and ast.unparse(args[0]).startswith("Said."):
            level = "error" if method in ("exception", "failure") else method
            found.setdefault(Said[ast.unparse(args[0])[5:]], set()).add(level)
    return found


def test_every_log_call_has_a_code_and_a_fixed_sentence():
    """What differs is a fact by name, so that lines can be counted and searched for."""
    bad = [
        where
        for where, method, args in calls()
        if method in OTHERS
        or len(args) != (3 if method == "failure" else 2)
        or not ast.unparse(args[0]).startswith("Said.")
        or not isinstance(args[1], ast.Constant)
    ]
    assert bad == [], "log.warning(Said.CODE, 'a sentence', fact=value)"


def test_no_room_has_a_logger_of_its_own():
    """All go through `gateway.watch.logs`; a library may be told to be quiet."""
    bad = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / "gateway").rglob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if "getLogger(" in line and ".setLevel(" not in line and path.name != "logs.py"
    ]
    assert bad == [], "log = Log(__name__)"


def test_every_code_is_used():
    """One that nobody says is one that somebody searches for in vain."""
    assert set(Said) - coded().keys() == set()


def test_every_code_is_explained():
    """In the table of gateway/README.md, with its level, and no other."""
    text = (ROOT / "gateway/README.md").read_text("utf-8")
    head = "| reason | level | what it says | what to do |\n"
    table = text.partition(head)[2].partition("\n\n")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")] for line in table.splitlines()[1:]]
    found = {row[1]: row[2] for row in rows}

    assert found == {str(code): "/".join(sorted(levels)) for code, levels in coded().items()}
