"""`sim run`: a scenario in virtual time to files, or at its own pace into a broker.

What it publishes says of itself that it is simulated.
"""

import itertools
import json as json_
import math
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail
from gateway.cli.simulating.options import (
    Bins,
    Hours,
    Lamps,
    Road,
    Seed,
    changes_of,
    logins_of,
    speed_of,
    staged_well,
    tell_progress,
)

if TYPE_CHECKING:
    from simulators.plan import Plan
    from simulators.publisher import Published
    from simulators.uplink import Login
    from simulators.wire import Message

LAG_MS_MAX = 180_000  # between connections on accelerated time: inside the lateness of rules


class Part(StrEnum):
    """Of a live run: what lay retained on the broker before it, and the run itself."""

    ALL = "all"
    BEFORE = "before"
    RUN = "run"


def add_to(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    scenario: Annotated[str, typer.Argument(help="A file, or one of `sim list`.")] = "city",
    seed: Seed = None,
    hours: Hours = None,
    lamps: Lamps = None,
    bins: Bins = None,
    road: Road = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for recording, assets, truth and devices.", metavar="DIR"),
    ] = None,
    live: Annotated[
        str | None, typer.Option(help="Publish to this broker: mqtt://host:port.", metavar="URL")
    ] = None,
    credentials: Annotated[
        Path | None, typer.Option(help="The file that `sense311 broker` writes; with --live.")
    ] = None,
    speed: Annotated[
        float, typer.Option(parser=speed_of, metavar="N|max", help="Simulated seconds a second.")
    ] = 1.0,
    start_at: Annotated[
        float | None, typer.Option(help="When a live run begins, Unix time; at once without.")
    ] = None,
    part: Annotated[Part, typer.Option(help="Of a live run.")] = Part.ALL,
    *,
    json: Json = False,
) -> None:
    """Play a scenario: in virtual time to files (--out), or in real time to a broker (--live)."""
    from simulators.staging import stage

    if out is None and live is None:
        fail("say where to: --out DIR, or --live URL", Code.USAGE, as_json=json)
    with staged_well(as_json=json):
        plan = stage(scenario, changes_of(seed, hours, lamps, bins, road))
    about = plan.city.scenario
    result: dict[str, Any] = {"scenario": about.name, "seed": about.seed}
    if out is not None:
        result |= _write(plan, out, record=live is None, as_json=json)
    if live is not None:
        result |= _play(plan, live, credentials, speed, start_at, part, as_json=json)
    answer(result, [f"{key}: {value}" for key, value in result.items()], as_json=json)


def _write(plan: "Plan", out: Path, *, record: bool, as_json: bool) -> dict[str, Any]:
    from simulators.plan import messages
    from simulators.recording import write_recording
    from simulators.register import write_assets
    from simulators.timeline import uncollected
    from simulators.truth import happenings, write_labels, write_truth

    try:
        out.mkdir(parents=True, exist_ok=True)
        write_assets(out / "assets.geojson", plan.assets())
        write_labels(out / "labels.csv", plan.labels)
        (out / "devices.json").write_text(json_.dumps(plan.concentrators()) + "\n", "utf-8")
        with uncollected():
            count = write_recording(out / "recording.jsonl.gz", messages(plan)) if record else 0
        write_truth(out / "truth.json", happenings(plan.faults), plan.losses)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", Code.OUTSIDE, as_json=as_json)
    must = sum(label.must_file for label in plan.labels)
    written = {"out": str(out), "labels": len(plan.labels), "faults_injected": must}
    return written | ({"messages": count} if record else {})


def _play(
    plan: "Plan",
    url: str,
    credentials: Path | None,
    speed: float,
    start_at: float | None,
    part: Part,
    *,
    as_json: bool,
) -> dict[str, Any]:
    """Publish; the run's own pace begins once what lay there before it has been taken."""
    try:
        logins = logins_of(credentials) if credentials is not None else {}
        distinct: set[int] = set()
        done: list[Published] = []
        if part is not Part.RUN:
            opening = itertools.takewhile(lambda m: m.t_ms <= plan.city.start_ms, _messages(plan))
            before = _noted((m for m in opening if _lay_there(m)), distinct)
            done.append(_publish(plan, before, url, logins, math.inf, None))
        if part is not Part.BEFORE:
            itself = _noted((m for m in _messages(plan) if not _lay_there(m)), distinct)
            done.append(_publish(plan, itself, url, logins, speed, start_at))
    except ValueError as error:
        fail(str(error), Code.USAGE, as_json=as_json)
    except OSError as error:
        fail(str(error), Code.OUTSIDE, as_json=as_json)
    return {
        "messages": sum(one.messages for one in done), "distinct": len(distinct),
        "reconnects": sum(one.reconnects for one in done),
    }  # fmt: skip


def _publish(
    plan: "Plan",
    messages: "Iterable[Message]",
    url: str,
    logins: "dict[str, Login]",
    speed: float,
    start_at: float | None,
) -> "Published":
    import asyncio
    import time

    from simulators.publisher import Pace, publish

    origin_s = time.time() if start_at is None else start_at
    pace = Pace(plan.city.start_ms, origin_s, speed)
    lag_ms_max = LAG_MS_MAX if speed > 1 else None
    return asyncio.run(
        publish(messages, url, logins, pace, lag_ms_max=lag_ms_max, on_progress=tell_progress)
    )


def _messages(plan: "Plan") -> "Iterator[Message]":
    from simulators.plan import messages
    from simulators.timeline import PROMPT_MS

    return messages(plan, PROMPT_MS)


def _lay_there(message: "Message") -> bool:
    """Readings left retained on the broker, which nobody sends now."""
    return message.retain and message.leaf == "telemetry"


def _noted(messages: "Iterable[Message]", distinct: set[int]) -> "Iterator[Message]":
    """The same messages; `distinct` comes to hold one number for each different reading sent."""
    for message in messages:
        if message.leaf == "telemetry":
            distinct.add(hash((message.topic, message.payload)))
        yield message
