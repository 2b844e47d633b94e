"""What several commands that simulate take: options, logins, a pace, and how far they are.

Shared words and readers only; no command of its own.
"""

import json as json_
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, answer, fail, say

if TYPE_CHECKING:
    from simulators.scenario_file import Finding
    from simulators.uplink import Login

Seed = Annotated[int | None, typer.Option(min=0, help="Another city of the same kind.")]
Hours = Annotated[float | None, typer.Option(min=1, max=24 * 60, help="Another duration.")]
Lamps = Annotated[int | None, typer.Option(min=0, max=100_000, help="So many instead.")]
Bins = Annotated[int | None, typer.Option(min=0, max=100_000, help="So many instead.")]
Road = Annotated[
    int | None, typer.Option(min=0, max=100_000, help="So many instead; a third of them drive.")
]


def speed_of(text: str) -> float:
    """A pace: simulated seconds a second, or `max`."""
    try:
        speed = math.inf if text == "max" else float(text)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise typer.BadParameter("a number above 0, or max")
    return speed


def logins_of(credentials: Path) -> "dict[str, Login]":
    """User -> login, of a broker's credentials file. OSError, ValueError."""
    from simulators.uplink import Login

    try:
        devices = json_.loads(credentials.read_text("utf-8"))["devices"]
        return {user: Login(user, str(entry["password"])) for user, entry in devices.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{credentials}: not a broker's credentials file") from None


def login_of(
    credentials: Path | None, user: str | None, password_file: Path | None
) -> "Login | None":
    """Who may speak for every device. None: nobody was named, the broker lets anyone in. OSError,
    ValueError.
    """
    from simulators.uplink import Login

    if password_file is not None:
        if user is None:
            raise ValueError("--password-file needs --user")
        return Login(user, password_file.read_text("utf-8").strip())
    if credentials is None:
        return None
    logins = logins_of(credentials)
    name = user or _anyone(credentials)
    if name not in logins:
        raise ValueError(
            f"{credentials} has no user {user or 'that may speak for every device'}; make one: "
            'sense311 broker --devices FILE with {"replay": ["*"]} in it, or name one with --user'
        )
    return logins[name]


def _anyone(credentials: Path) -> str:
    devices = json_.loads(credentials.read_text("utf-8"))["devices"]
    return next((user for user, entry in devices.items() if "*" in entry["devices"]), "")


def time_ms(option: str, text: str) -> int:
    """ValueError: it is no time with a zone."""
    from simulators.wire import parse_rfc3339

    try:
        return parse_rfc3339(text)
    except ValueError:
        raise ValueError(f"{option} {text}: a time as 2026-01-15T20:05:00Z") from None


def seconds_of(text: str) -> float:
    """How long, as `--for` says it. ValueError."""
    from simulators import scenario

    try:
        return float(scenario.seconds_of(text))
    except ValueError as error:
        raise ValueError(f"--for {text}: {error}") from None


@contextmanager
def shown_moving(title: str) -> Iterator[Callable[[int, int], None]]:
    """How far it is: a line that changes on a terminal, else a JSON line now and then."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from simulators.wire import rfc3339

    console = Console(stderr=True)
    if not console.is_terminal:
        yield tell_progress
        return
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), console=console) as progress:
        task = progress.add_task(title)

        def tell(t_ms: int, published: int) -> None:
            text = f"{title}: {rfc3339(t_ms)}, {published:,} published"
            progress.update(task, description=text)

        yield tell


def tell_progress(t_ms: int, published: int) -> None:
    """One JSON line on standard error."""
    say(json_.dumps({"t_ms": t_ms, "published": published}))


def changes_of(
    seed: int | None,
    hours: float | None,
    lamps: int | None,
    bins: int | None,
    road: int | None,
) -> dict[str, Any]:
    """What a scenario is to have instead of its own values."""
    changes: dict[str, Any] = {}
    if seed is not None:
        changes["seed"] = seed
    if hours is not None:
        changes["duration"] = f"{hours:f}h"
    counts = {"lamps": lamps, "bins": bins}
    if road is not None:
        counts |= {"road_sensors": road - road // 3, "vehicles": road // 3}
    fleets = {name: {"count": count} for name, count in counts.items() if count is not None}
    return changes | ({"fleets": fleets} if fleets else {})


def options_of(
    seed: int | None,
    hours: float | None,
    lamps: int | None,
    bins: int | None,
    road: int | None,
) -> tuple[str, ...]:
    """The same changes as options of `sim run`."""
    given = {"seed": seed, "hours": hours, "lamps": lamps, "bins": bins, "road": road}
    return tuple(f"--{name}={value}" for name, value in given.items() if value is not None)


@contextmanager
def staged_well(*, as_json: bool = False) -> Iterator[None]:
    """A scenario that cannot be played as its findings, exit code 2."""
    from simulators.scenario_file import ScenarioError

    try:
        yield
    except ScenarioError as error:
        if as_json:
            answer(told_of(error.findings), (), as_json=True)
        for finding in error.findings:
            say(str(finding))
        raise typer.Exit(Code.USAGE) from None
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", Code.USAGE, as_json=as_json)


def told_of(findings: "Sequence[Finding]") -> dict[str, Any]:
    """Findings as an object."""
    names = ("file", "line", "column", "message", "hint")
    rows = [{name: getattr(one, name) for name in names} for one in findings]
    return {"ok": not rows, "findings": rows}
