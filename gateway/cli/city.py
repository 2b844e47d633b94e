"""Commands with a whole city: `demo`, `replay`.

They start processes, show progress, and judge; what happens in the city is not theirs.
"""

import math
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from gateway.cli.output import Code, Json, answer, fail, say, told_plainly
from gateway.cli.service import ConfigFile
from gateway.cli.simulating.options import (
    Bins,
    Hours,
    Lamps,
    Road,
    Seed,
    changes_of,
    login_of,
    options_of,
    shown_moving,
    speed_of,
    staged_well,
    time_ms,
)

if TYPE_CHECKING:
    from gateway.cli.performance import Performance, Verdict, View, Watch
    from gateway.cli.stage import Stage
    from simulators.plan import Plan

DEMO_SPEED = 1500.0  # a night and a day in a minute
TEND_S = 0.2
INTERRUPTED = 130  # as shells report Ctrl-C


def add_to(app: typer.Typer) -> None:
    for command in (demo, replay):
        app.command()(command)


def demo(
    scenario: Annotated[str, typer.Argument(help="A file, or one of `sim list`.")] = "city",
    seed: Seed = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Where it plays: a new or empty folder.")
    ] = None,
    speed: Annotated[float, typer.Option(min=1, help="Simulated seconds a second.")] = DEMO_SPEED,
    hours: Hours = None,
    lamps: Lamps = None,
    bins: Bins = None,
    road: Road = None,
    desk_faults: Annotated[
        str | None, typer.Option(help='How the desk misbehaves: {"drop_after_rate": 0.3}')
    ] = None,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave all running until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """A simulated city, the gateway and a 311 desk as real processes; judged by the truth."""
    from gateway.cli.performance import Performance, Script
    from gateway.cli.stage import Stage, StageError
    from gateway.errors import StoreError

    began_s = time.monotonic()
    _check_faults(desk_faults, as_json=json)
    options = options_of(seed, hours, lamps, bins, road)
    plan = _staged(scenario, changes_of(seed, hours, lamps, bins, road), as_json=json)
    place = _place(folder, as_json=json)
    script = Script(_whole(scenario), options, plan, place, speed, desk_faults)
    try:
        with _interruptible(), Stage(place) as stage:
            with _bars() as watch:
                performance = Performance(script, stage, watch)
                verdict = performance.play()
            _tell(verdict, performance, time.monotonic() - began_s, as_json=json)
            if keep:
                _stay(stage, performance)
    except KeyboardInterrupt:
        say(f"sense311: stopped; what it wrote is in {place}")
        raise typer.Exit(INTERRUPTED) from None
    except (StageError, StoreError, OSError) as error:
        fail(f"{error}\nwhat it wrote is in {place}", Code.OUTSIDE, as_json=json)
    if verdict.perfect and folder is None:
        shutil.rmtree(place)
    elif not json:
        say(f"what it wrote is in {place}")
    raise typer.Exit(Code.GOOD if verdict.perfect else Code.FINDINGS)


def _whole(scenario: str) -> str:
    """As it is found from any folder."""
    from simulators.scenario_file import find

    return str(find(scenario).resolve())


def _staged(scenario: str, changes: dict[str, Any], *, as_json: bool) -> "Plan":
    """With the shipped rules, which are those that the gateway of the demo has."""
    from simulators.scenario_file import read_scenario
    from simulators.staging import plan_from

    with staged_well(as_json=as_json):
        file = read_scenario(scenario).changed(changes)
        if file.rule_files:
            advice = f"the demo plays with the shipped ones; try `sense311 sim score {scenario}`"
            fail(f"{scenario} has rules of its own; {advice}", Code.USAGE, as_json=as_json)
        return plan_from(file)


def replay(
    recording: Annotated[Path, typer.Argument(help="JSON Lines, .gz or not.")],
    config: ConfigFile,
    speed: Annotated[
        float, typer.Option(parser=speed_of, metavar="N|max", help="1 keeps its gaps.")
    ] = math.inf,
    shift_to: Annotated[
        str | None,
        typer.Option(help="When its first message is to happen: RFC 3339.", metavar="TIME"),
    ] = None,
    credentials: Annotated[
        Path | None, typer.Option(help="Of the broker; else those that the configuration names.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="A user of the broker that may speak for the devices.")
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="Its password.")] = None,
    *,
    json: Json = False,
) -> None:
    """Publish a recording to the broker of a gateway's configuration."""
    import asyncio

    from gateway.config import read_config
    from simulators.publisher import replay as publish_recording

    with told_plainly(as_json=json):
        settings, secrets = read_config(config)
    try:
        shift_to_ms = None if shift_to is None else time_ms("--shift-to", shift_to)
        login = login_of(credentials or settings.broker.credentials, user, password_file)
        with shown_moving(f"replay {recording.name}") as tell:
            done = asyncio.run(
                publish_recording(
                    recording, secrets.broker_url, login, speed=speed, shift_to_ms=shift_to_ms,
                    on_progress=tell,
                )
            )  # fmt: skip
    except ValueError as error:
        fail(str(error), Code.USAGE, as_json=json)
    except OSError as error:
        fail(str(error), Code.OUTSIDE, as_json=json)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    result = {"messages": done.messages, "reconnects": done.reconnects}
    answer(result, [f"{done.messages} messages published"], as_json=json)


# -- the demo's surroundings ----------------------------------------------------------------------


def _check_faults(desk_faults: str | None, *, as_json: bool) -> None:
    from simulators.desk import faults_from

    try:
        faults_from(desk_faults or "{}")
    except ValueError as error:
        fail(f"--desk-faults: {error}", Code.USAGE, as_json=as_json)


def _place(folder: Path | None, *, as_json: bool) -> Path:
    """A folder with nothing in it: an old ledger would be judged with the new one."""
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="sense311-demo-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            fail(f"{folder} is not empty; give a new folder", Code.USAGE, as_json=as_json)
    except OSError as error:
        fail(f"{folder}: {error.strerror}", Code.USAGE, as_json=as_json)
    return folder.resolve()


def _stay(stage: "Stage", performance: "Performance") -> None:
    """Until Ctrl-C, which is no failure then."""
    say(f"all of it runs on until Ctrl-C; the desk's ledger: {performance.desk_url}/desk/ledger")
    say(f"the console: {performance.view.console}")
    try:
        while True:
            stage.tend()
            time.sleep(TEND_S)
    except KeyboardInterrupt:
        return


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does: with every part stopped. Once is
    enough: the stopping itself is not interrupted.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_number: int, _frame: object) -> NoReturn:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _bars() -> "Iterator[Watch]":
    """Progress on standard error: bars on a terminal, else a line now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    columns = (TextColumn("{task.description:<20}"), BarColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=console) as progress:
        names = ("simulated time", "messages published", "readings stored", "requests filed")
        tasks = [progress.add_task(name, total=1, text="") for name in names]
        told: list[str] = []

        def watch(view: "View") -> None:
            expected = view.published / view.share if view.share else 1
            shown = (
                (view.share, 1, view.scene),
                (view.published, expected, f"{view.published:,}"),
                (view.stored, expected, f"{view.stored:,}"),
                (view.filed, view.faults, f"{view.filed} of {view.faults} faults"),
            )
            for task, (done, total, text) in zip(tasks, shown, strict=True):
                progress.update(task, completed=done, total=max(1, total), text=text)
            if view.console and not told:
                told.append(view.console)
                progress.console.print(f"the console: {view.console}", highlight=False)

        yield watch


def _lines() -> "Watch":
    told: list[object] = []

    def watch(view: "View") -> None:
        if view.console and view.console not in told:
            told.append(view.console)
            say(f"the console: {view.console}")
        now = (view.scene, int(view.share * 4))
        if now not in told:
            told.append(now)
            say(f"{view.scene}: {view.share:.0%}, {view.published} published, {view.stored} "
                f"stored, {view.filed} filed")  # fmt: skip

    return watch


def _tell(verdict: "Verdict", performance: "Performance", seconds: float, *, as_json: bool) -> None:
    from rich.console import Console

    from gateway.cli.scoreboard import board, failings, set_of

    judged = verdict.score
    facts: dict[str, Any] = {"readings": verdict.readings, "seconds": round(seconds, 1)}
    if as_json:
        counts = ("faults_injected", "requests_filed", "missed", "false", "duplicates")
        whole = judged.as_dict()
        result = {name: whole.pop(name) for name in counts} | facts
        facts = {"desk": performance.desk_url, "dir": str(performance.script.folder)}
        facts["console"] = performance.console_url
        facts |= {"restarts": verdict.restarts, "unsettled": verdict.unsettled}
        result |= facts | {"requests": set_of(verdict.requests)}
        answer(result | whole, (), as_json=True)
        return
    Console().print(board(judged, facts | verdict.restarts))
    stuck = [f"not settled: {verdict.unsettled}"] if verdict.unsettled else []
    answer({}, [*stuck, *failings(judged)], as_json=False)
