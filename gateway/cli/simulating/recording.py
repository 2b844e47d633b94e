"""`sim record` and `sim replay`: the traffic of a broker into a file, and out of one.

What is recorded, chosen, moved and made anonymous is the simulators' work; here it is asked for
and told.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail, say
from gateway.cli.simulating.options import (
    login_of,
    seconds_of,
    shown_moving,
    speed_of,
    time_ms,
)

if TYPE_CHECKING:
    from simulators.anonymise import Anonymiser
    from simulators.publisher import Published
    from simulators.recorder import Gap, Recorded, Recorder
    from simulators.uplink import Login
    from simulators.wire import Message

COUNT_EVERY_S = 0.5
KEY_BYTES = 16
INTERRUPTED = 130  # as shells report Ctrl-C

Topics = Annotated[list[str] | None, typer.Option("--topic", metavar="FILTER")]
Anonymise = Annotated[
    bool, typer.Option("--anonymise", help="Without names, places and free text.")
]
Key = Annotated[
    str | None, typer.Option(help="For the names of --anonymise; drawn and told without.")
]
OffsetM = Annotated[
    float, typer.Option(min=0, max=1_000_000, help="How far --anonymise moves all places.")
]
Assets = Annotated[
    tuple[Path, Path] | None, typer.Option(metavar="IN OUT", help="GeoJSON, made anonymous too.")
]
Labels = Annotated[
    tuple[Path, Path] | None, typer.Option(metavar="IN OUT", help="Labels, made anonymous too.")
]
Credentials = Annotated[
    Path | None, typer.Option(help="The file that `sense311 broker` writes.", metavar="FILE")
]
User = Annotated[str | None, typer.Option(help="A user of the broker.")]
PasswordFile = Annotated[Path | None, typer.Option(help="Its password.", metavar="FILE")]


def add_to(app: typer.Typer) -> None:
    app.command("record")(record)
    app.command("replay")(replay)


def record(
    url: Annotated[str, typer.Argument(help="mqtt://host:port, or mqtts://.")],
    out: Annotated[Path, typer.Option(help="A new file, .gz to compress.")],
    topic: Topics = None,
    for_: Annotated[
        str | None, typer.Option("--for", help="As 10min or 2h; until Ctrl-C without.")
    ] = None,
    key: Key = None,
    offset_m: OffsetM = 5000.0,
    assets: Assets = None,
    labels: Labels = None,
    credentials: Credentials = None,
    user: User = None,
    password_file: PasswordFile = None,
    *,
    anonymise: Anonymise = False,
    json: Json = False,
) -> None:
    """Record what a broker delivers: what devices say, or each --topic, such as '#' for all."""
    import asyncio

    from simulators.recorder import WHAT_DEVICES_SAY
    from simulators.recording import Tape

    with _asked_well(as_json=json):
        mask = _Mask.of(key, offset_m, assets, labels, wanted=anonymise)
        seconds = math.inf if for_ is None else seconds_of(for_)
        login = _listener(credentials, user, password_file)
        mask.write_files()
        with Tape(out) as tape:
            filters = tuple(topic or WHAT_DEVICES_SAY)
            told = asyncio.run(_record(url, tape, filters, login, mask, seconds))
    gaps = [_gap(gap) for gap in told.gaps]
    result = {
        "messages": told.messages, "out": str(out), "gaps": gaps,
        "repeated": told.repeated, "retain_as_published": told.flags_whole, **mask.as_dict(),
    }  # fmt: skip
    lost = f", {len(gaps)} gaps" if gaps else ""
    answer(result, [f"{out}: {told.messages:,} messages{lost}", *mask.lines()], as_json=json)
    raise typer.Exit(Code.FINDINGS if gaps else Code.GOOD)


def replay(
    recording: Annotated[Path, typer.Argument(help="JSON Lines, .gz or not.")],
    target: Annotated[str, typer.Argument(help="mqtt://host:port, or the name of a new file.")],
    speed: Annotated[
        float, typer.Option(parser=speed_of, metavar="N|max", help="1 keeps its gaps.")
    ] = 1.0,
    shift_to: Annotated[
        str | None,
        typer.Option(help="When its first message is to happen: RFC 3339, or now.", metavar="TIME"),
    ] = None,
    loop: Annotated[int, typer.Option(min=1, help="How often; each round later, anew.")] = 1,
    topic: Topics = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="FILTER")] = None,
    since: Annotated[str | None, typer.Option("--from", help="RFC 3339; later ones.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="RFC 3339; earlier ones.")] = None,
    key: Key = None,
    offset_m: OffsetM = 5000.0,
    assets: Assets = None,
    labels: Labels = None,
    credentials: Credentials = None,
    user: User = None,
    password_file: PasswordFile = None,
    *,
    anonymise: Anonymise = False,
    json: Json = False,
) -> None:
    """Publish a recording, or a part of it, with its QoS and retained flags; or, where a file is
    named instead of a broker, write one of it.
    """
    from simulators.excerpt import Excerpt, Playing
    from simulators.recording import read_recording, write_recording
    from simulators.topics import checked

    with _asked_well(as_json=json):
        mask = _Mask.of(key, offset_m, assets, labels, wanted=anonymise)
        excerpt = Excerpt(
            tuple(map(checked, topic or ())), tuple(map(checked, exclude or ())),
            None if since is None else time_ms("--from", since),
            None if until is None else time_ms("--to", until), _shift_ms(shift_to), loop,
        )  # fmt: skip
        playing = Playing(lambda: read_recording(recording), excerpt)
        messages = mask.over(playing.messages())
        result: dict[str, Any] = {}
        if "://" not in target:
            mask.write_files()
            result["messages"] = write_recording(_new(Path(target)), messages)
        else:
            login = login_of(credentials, user, password_file)
            mask.write_files()
            done = _play(recording, messages, target, login, speed)
            result |= {"messages": done.messages, "reconnects": done.reconnects}
    result |= {"unmoved": playing.unmoved, **mask.as_dict()}
    lines = [f"{result['messages']:,} messages to {target}"]
    if playing.unmoved:
        lines.append(f"{playing.unmoved:,} of other formats keep the times in their payloads")
    answer(result, [*lines, *mask.lines()], as_json=json)


@contextmanager
def _asked_well(*, as_json: bool) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        fail(f"{error.filename} is there already; name a new file", Code.USAGE, as_json=as_json)
    except ValueError as error:
        fail(str(error), Code.USAGE, as_json=as_json)
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        code = Code.USAGE if isinstance(error, FileNotFoundError) else Code.OUTSIDE
        fail(said, code, as_json=as_json)


# -- recording ------------------------------------------------------------------------------------


async def _record(
    url: str,
    tape: Any,
    filters: tuple[str, ...],
    login: "Login | None",
    mask: "_Mask",
    seconds: float,
) -> "Recorded":
    import asyncio
    import signal

    from simulators.recorder import Recorder

    recorder = Recorder(url, tape, filters, login, keep=mask.message, on_gap=_tell_gap)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, recorder.stop)
    if seconds < math.inf:
        loop.call_later(seconds, recorder.stop)
    counting = asyncio.create_task(_count(recorder))
    try:
        return await recorder.run()
    finally:
        counting.cancel()


async def _count(recorder: "Recorder") -> None:
    """On a terminal, how many it has."""
    import asyncio

    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        return
    with console.status("recording") as status:
        while True:
            status.update(f"recording: {recorder.recorded.messages:,} messages, Ctrl-C to end")
            await asyncio.sleep(COUNT_EVERY_S)


def _tell_gap(gap: "Gap") -> None:
    from simulators.wire import rfc3339

    if gap.until_ms is None:
        say(f"sense311: the broker is gone since {rfc3339(gap.since_ms)}; trying again")
    else:
        say(f"sense311: it is back; nothing from {rfc3339(gap.since_ms)} to "
            f"{rfc3339(gap.until_ms)} is recorded")  # fmt: skip


def _gap(gap: "Gap") -> dict[str, str | None]:
    from simulators.wire import rfc3339

    until = None if gap.until_ms is None else rfc3339(gap.until_ms)
    return {"from": rfc3339(gap.since_ms), "to": until}


def _listener(
    credentials: Path | None, user: str | None, password_file: Path | None
) -> "Login | None":
    """Whom a broker lets listen: the gateway's own user, unless another one is named."""
    import json

    from simulators.uplink import Login

    if credentials is None or user is not None:
        return login_of(credentials, user, password_file)
    try:
        found = json.loads(credentials.read_text("utf-8"))["gateway"]
        return Login(str(found["user"]), str(found["password"]))
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{credentials}: not a broker's credentials file") from None


# -- replaying ------------------------------------------------------------------------------------


def _play(
    recording: Path,
    messages: "Iterator[Message]",
    url: str,
    login: "Login | None",
    speed: float,
) -> "Published":
    import asyncio

    from simulators.publisher import play

    with shown_moving(f"replay {recording.name}") as tell:
        try:
            return asyncio.run(play(messages, url, login, speed=speed, on_progress=tell))
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _shift_ms(text: str | None) -> int | None:
    import time

    if text == "now":
        return round(time.time() * 1000)
    return None if text is None else time_ms("--shift-to", text)


def _new(path: Path) -> Path:
    if path.exists():
        raise FileExistsError(17, "there already", str(path))
    return path


# -- anonymising ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Mask:
    """What --anonymise does to messages and to the files that go with them; nothing without it."""

    anonymiser: "Anonymiser | None"
    assets: tuple[Path, Path] | None
    labels: tuple[Path, Path] | None

    @classmethod
    def of(
        cls,
        key: str | None,
        offset_m: float,
        assets: tuple[Path, Path] | None,
        labels: tuple[Path, Path] | None,
        *,
        wanted: bool,
    ) -> "_Mask":
        import secrets

        from simulators.anonymise import Anonymiser

        if not wanted:
            if key or assets or labels:
                raise ValueError("--key, --assets and --labels go with --anonymise")
            return cls(None, None, None)
        return cls(Anonymiser(key or secrets.token_hex(KEY_BYTES), offset_m), assets, labels)

    def message(self, message: "Message") -> "Message | None":
        return message if self.anonymiser is None else self.anonymiser.message(message)

    def over(self, messages: "Iterator[Message]") -> "Iterator[Message]":
        return messages if self.anonymiser is None else self.anonymiser.messages(messages)

    def write_files(self) -> None:
        """The register and the labels. ValueError, OSError."""
        import json

        from simulators.register import write_assets
        from simulators.truth import read_labels, write_labels

        anonymiser = self.anonymiser
        if anonymiser is not None and self.assets is not None:
            source, out = self.assets
            try:
                register = anonymiser.assets(json.loads(source.read_text("utf-8-sig")))
            except ValueError as error:
                raise ValueError(f"{source}: {error}") from None
            write_assets(_new(out), register)
        if anonymiser is not None and self.labels is not None:
            source, out = self.labels
            write_labels(_new(out), map(anonymiser.label, read_labels(source)))

    def as_dict(self) -> dict[str, Any]:
        one = self.anonymiser
        return {} if one is None else {"dropped": one.dropped, "key": one.key}

    def lines(self) -> Iterator[str]:
        one = self.anonymiser
        if one is not None:
            yield f"{one.dropped:,} left out: of other formats, or spoilt"
            yield f"key: {one.key} (who has it can find a name again by trying)"
