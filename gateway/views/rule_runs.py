"""Tests and backtests of edited rules: asked for here, run in a process of its own.

Rules that somebody is just writing may loop over years of readings or fill the memory, so none of
that happens where the pages are: a child runs them, with bounds of its own, at most RUNS_MAX at
once, for at most RUN_S seconds. Cancelled, or without an answer, it is ended. Writes nothing.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress

from pydantic import ValidationError

from gateway.books.rule_book import span_of
from gateway.plans import RuleTexts
from gateway.views.books import Books
from gateway.views.rule_results import (
    Answer,
    BacktestResult,
    Job,
    Period,
    Progress,
    TestsResult,
    Trouble,
)
from gateway.views.rule_sheets import Shown, in_force
from gateway.views.workbench import edited
from gateway.watch.logs import Log, Said

RUN_S = 120.0
SOFT_S = 100.0
"""A backtest that has not come to its end by then shows what it has."""
RUNS_MAX = 2
"""Of a console, however many look on: the gateway needs the machine."""
LABELS_CHARS_MAX = 500_000
"""Some thousand labels; a browser sends no more in one piece."""
ANSWER_BYTES_MAX = 32 * 1024 * 1024
CHILD = "gateway.cli.workbench.bench"

log = Log(__name__)


Told = Callable[[Progress], None]


class History(Shown):
    """From when to when readings are kept."""

    first_ms: int
    last_ms: int


def history_of(books: Books) -> History | None:
    """None: there are no readings yet. StoreBroken."""
    follow = books.config.ingest.clock == "follow"
    if not books.database.exists():
        return None
    span = span_of(books.database, by_receipt=not follow)
    return None if span is None else History(first_ms=span[0], last_ms=span[1])


class Bench:
    """Runs jobs. One of them serves all pages of a console."""

    def __init__(self, runs_max: int = RUNS_MAX, run_s: float = RUN_S) -> None:
        self._room = asyncio.Semaphore(runs_max)
        self._run_s = run_s

    @property
    def is_full(self) -> bool:
        """The next one waits."""
        return self._room.locked()

    async def tests(
        self, books: Books, file: str, text: str, instead_of: str = ""
    ) -> TestsResult | Trouble:
        """Those of the rules of one file, as it is edited."""
        texts = edited(books, file, text, instead_of)
        job = Job(task="test", config=books.config_path, file=file, texts=texts.to_json())
        answer = await self._run(job, None)
        return answer.trouble or answer.tests or Trouble(code="broken")

    async def backtest(
        self,
        books: Books,
        file: str,
        texts: RuleTexts,
        period: Period,
        *,
        compare: bool = False,
        focus: Sequence[str] = (),
        labels: str = "",
        told: Told | None = None,
    ) -> BacktestResult | Trouble:
        """What rules would have filed. `focus`: only some rules, else those of the file."""
        running = in_force(books).to_json() if compare else ""
        job = Job(
            task="backtest", config=books.config_path, file=file, texts=texts.to_json(),
            running=running, focus=tuple(focus), since_ms=period.since_ms,
            until_ms=period.until_ms, labels=labels[: LABELS_CHARS_MAX + 1],
        )  # fmt: skip
        answer = await self._run(job, told)
        return answer.trouble or answer.backtest or Trouble(code="broken")

    async def _run(self, job: Job, told: Told | None) -> Answer:
        if len(job.labels) > LABELS_CHARS_MAX:
            return _without(Trouble(code="labels", text=f"at most {LABELS_CHARS_MAX} characters"))
        async with self._room:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", CHILD,
                stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=ANSWER_BYTES_MAX,
            )  # fmt: skip
            try:
                async with asyncio.timeout(self._run_s):
                    return await _answer(child, job, told)
            except TimeoutError:
                return _without(Trouble(code="time", text=f"{self._run_s:g}"))
            finally:
                await _end(child)


async def _answer(child: Process, job: Job, told: Told | None) -> Answer:
    """The last line that it says."""
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(ConnectionError):  # then its end says why
        child.stdin.write(job.model_dump_json().encode())
        await child.stdin.drain()
        child.stdin.close()
    try:
        while line := await child.stdout.readline():
            answer = Answer.model_validate_json(line)
            if answer.progress is None:
                return answer
            if told is not None:
                told(answer.progress)
    except (ValidationError, ValueError) as error:
        log.warning(Said.RULES_RUN_FAILED, "a run of rules gave no answer", why=error)
        return _without(Trouble(code="broken"))
    code = await child.wait()
    log.warning(Said.RULES_RUN_FAILED, "a run of rules ended without an answer", code=code)
    return _without(Trouble(code="broken", text=str(code)))


async def _end(child: Process) -> None:
    """Whatever it is doing; the cancelled wait for it, too, lest it is left over."""
    with suppress(ProcessLookupError):
        child.kill()
    await asyncio.shield(child.wait())


def _without(trouble: Trouble) -> Answer:
    return Answer(trouble=trouble)


BENCH = Bench()
"""That of this console."""
