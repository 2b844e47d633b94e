"""Commands that stand in for a city: `sim run`, `sim list`, `sim from-csv`, `sim score`.

`sim run` writes a simulated city to files in virtual time, or plays it into a broker. What it
publishes says of itself that it is simulated.
"""

import itertools
import json as json_
import math
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail, say

if TYPE_CHECKING:
    from simulators.plan import Plan
    from simulators.publisher import Published
    from simulators.uplink import Login
    from simulators.wire import Message

app = typer.Typer(help="Stand-ins for a city: simulate, import, judge.", no_args_is_help=True)

LAG_MS_MAX = 180_000  # between connections on accelerated time: inside the lateness of rules
SCENARIOS = {"city": "Lamps, bins and roads of one city, with faults and look-alikes."}


class Part(StrEnum):
    """Of a live run: what lay retained on the broker before it, and the run itself."""

    ALL = "all"
    BEFORE = "before"
    RUN = "run"


def speed_of(text: str) -> float:
    """A pace: simulated seconds a second, or `max`."""
    try:
        speed = math.inf if text == "max" else float(text)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise typer.BadParameter("a number above 0, or max")
    return speed


Seed = Annotated[int, typer.Option(help="The same seed gives the same city and the same faults.")]
Hours = Annotated[float, typer.Option(min=1, max=24 * 30, help="How long, in simulated time.")]
Lamps = Annotated[int, typer.Option(min=0, max=100_000)]
Bins = Annotated[int, typer.Option(min=0, max=100_000)]
Road = Annotated[int, typer.Option(min=0, max=100_000, help="A third of them drive.")]


@app.command("list")
def list_scenarios(*, json: Json = False) -> None:
    """What can be simulated."""
    rows = [{"name": name, "path": None, "description": text} for name, text in SCENARIOS.items()]
    lines = [f"{row['name']}: {row['description']}" for row in rows]
    answer({"scenarios": rows}, lines, as_json=json)


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="One of `sim list`.")] = "city",
    seed: Seed = 1,
    hours: Hours = 24.0,
    lamps: Lamps = 500,
    bins: Bins = 150,
    road: Road = 60,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for recording, assets, labels and devices.", metavar="DIR"),
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
    """Simulate a city: in virtual time to files (--out), or in real time to a broker (--live)."""
    from simulators.city import City
    from simulators.plan import plan_of

    if scenario not in SCENARIOS:
        fail(
            f"no scenario {scenario!r}; there is: {', '.join(SCENARIOS)}", Code.USAGE, as_json=json
        )
    if out is None and live is None:
        fail("say where to: --out DIR, or --live URL", Code.USAGE, as_json=json)
    plan = plan_of(City.sized(seed, lamps, bins, road, duration=f"{hours}h"))
    result: dict[str, Any] = {"scenario": scenario, "seed": seed}
    if out is not None:
        result |= _write(plan, out, record=live is None, as_json=json)
    if live is not None:
        result |= _play(plan, live, credentials, speed, start_at, part, as_json=json)
    answer(result, [f"{key}: {value}" for key, value in result.items()], as_json=json)


@app.command("from-csv")
def from_csv(
    mapping: Annotated[Path, typer.Argument(help="TOML; simulators/mapping.py shows every key.")],
    file: Annotated[Path, typer.Argument(help="The table.")],
    out: Annotated[Path, typer.Option(help="The recording, .gz to compress.")],
    assets: Annotated[Path | None, typer.Option(help="GeoJSON of what the table is about.")] = None,
    *,
    json: Json = False,
) -> None:
    """Turn a table of readings into a recording that `sense311 replay` publishes."""
    from simulators import from_csv as tables
    from simulators.recording import write_recording
    from simulators.register import write_assets

    try:
        imported = tables.from_csv(mapping, file)
        findings = [vars_of(finding) for finding in imported.findings]
        if imported.ok:
            write_recording(out, imported.messages)
            if assets is not None:
                write_assets(assets, imported.assets or {"features": []})
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", Code.USAGE, as_json=json)
    result = {
        "ok": imported.ok, "rows": imported.rows, "messages": len(imported.messages),
        "skipped": imported.skipped, "bad_rows": imported.bad_rows, "findings": findings,
    }  # fmt: skip
    head = f"{out}: {len(imported.messages)} messages of {imported.rows} rows, "
    lines = [*map(str, imported.findings), f"{head}{imported.bad_rows} bad"]
    answer(result, lines, as_json=json)
    if not imported.ok:
        raise typer.Exit(Code.USAGE)
    raise typer.Exit(Code.FINDINGS if imported.bad_rows else Code.GOOD)


@app.command("score")
def score(
    labels: Annotated[Path, typer.Option(help="What was wrong: labels.csv.")],
    requests: Annotated[
        str, typer.Option(help="What was filed: a JSON list, or the address of a simulated desk.")
    ],
    profile: Annotated[str, typer.Option(help="Whose service codes the requests carry.")] = "desk",
    device_days: Annotated[float | None, typer.Option(help="For the rate of false ones.")] = None,
    *,
    json: Json = False,
) -> None:
    """Judge requests by the truth: missed, false, twice."""
    from gateway.cli.scoreboard import ledger_of, lines_of, rules_by_code
    from gateway.profile import ProfileError
    from simulators.score import score as judge
    from simulators.truth import LabelsError, read_labels

    try:
        truth, filed = read_labels(labels), ledger_of(requests)
        judged = judge(truth, filed, rules_by_code(profile), device_days=device_days)
    except (LabelsError, ValueError) as error:
        fail(str(error), Code.USAGE, as_json=json)
    except ProfileError as error:
        fail("; ".join(map(str, error.findings)), Code.USAGE, as_json=json)
    except OSError as error:
        fail(str(error), Code.OUTSIDE, as_json=json)
    answer(judged.as_dict(), lines_of(judged), as_json=json)
    raise typer.Exit(Code.GOOD if judged.perfect else Code.FINDINGS)


def vars_of(finding: Any) -> dict[str, str]:
    """A finding of the simulators as an object."""
    return {name: getattr(finding, name) for name in ("file", "where", "message", "hint")}


def logins_of(credentials: Path) -> "dict[str, Login]":
    """User -> login, of a broker's credentials file. OSError, ValueError."""
    from simulators.uplink import Login

    try:
        devices = json_.loads(credentials.read_text("utf-8"))["devices"]
        return {user: Login(user, str(entry["password"])) for user, entry in devices.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{credentials}: not a broker's credentials file") from None


def tell_progress(t_ms: int, published: int) -> None:
    """One JSON line on standard error."""
    say(json_.dumps({"t_ms": t_ms, "published": published}))


def _write(plan: "Plan", out: Path, *, record: bool, as_json: bool) -> dict[str, Any]:
    from simulators.plan import messages
    from simulators.recording import write_recording
    from simulators.register import write_assets
    from simulators.truth import write_labels

    try:
        out.mkdir(parents=True, exist_ok=True)
        write_assets(out / "assets.geojson", plan.assets())
        write_labels(out / "labels.csv", plan.labels)
        (out / "devices.json").write_text(json_.dumps(plan.concentrators()) + "\n", "utf-8")
        count = write_recording(out / "recording.jsonl.gz", messages(plan)) if record else 0
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

    return messages(plan)


def _lay_there(message: "Message") -> bool:
    """Readings left retained on the broker, which nobody sends now."""
    return message.retain and message.leaf == "telemetry"


def _noted(messages: "Iterable[Message]", distinct: set[int]) -> "Iterator[Message]":
    """The same messages; `distinct` comes to hold one number for each different reading sent."""
    for message in messages:
        if message.leaf == "telemetry":
            distinct.add(hash((message.topic, message.payload)))
        yield message
