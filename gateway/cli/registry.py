"""Commands about what stands in the city: `assets import`, `export`, `diff`.

They compare a file with the assets in force before anything is written, and write an asset file
whole or not at all; a running gateway takes it up when it is told to (`rules reload`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from gateway.cli.ask import database_of
from gateway.cli.output import Code, Json, answer, fail, findings_answer, say, told_plainly
from gateway.cli.service import ConfigFile

if TYPE_CHECKING:
    from gateway.inventory.asset_difference import Difference

assets = typer.Typer(no_args_is_help=True, help="The asset registry.")

New = Annotated[Path, typer.Argument(metavar="FILE", help="GeoJSON, CSV, or NGSI entities.")]
To = Annotated[
    Path | None, typer.Option("--to", help="In place of which file, where there are several.")
]


class _Offer(NamedTuple):
    """What is offered: in place of which of the files, as it is to be written, and the change."""

    files: Sequence[Path]
    target: Path
    data: bytes
    change: "Difference"


@assets.command("diff")
def diff(config: ConfigFile, new: New, to: To = None, *, json: Json = False) -> None:
    """What a file would change, were it the asset file. Exit code 1: something."""
    with told_plainly(as_json=json):
        offer = _offer(config, new, to, as_json=json)
    answer(offer.change.as_dict(), offer.change.lines(), as_json=json)
    raise typer.Exit(Code.FINDINGS if offer.change else Code.GOOD)


@assets.command("import")
def import_(
    config: ConfigFile,
    new: New,
    to: To = None,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Write it, after what it shows.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where assets go that have open incidents.")
    ] = False,
    json: Json = False,
) -> None:
    """Check a file of assets, show what it would change, and with --apply put it in place."""
    from gateway.config import read_settings
    from gateway.inventory.asset_files import alone, replacing

    with told_plainly(as_json=json), alone(read_settings(config).assets.files):
        offer = _offer(config, new, to, as_json=json)
        told = offer.change.as_dict() | {"file": str(offer.target), "applied": False}
        standing = sum(offer.change.open_incidents.values())
        if apply and standing and not force:
            names = ", ".join(offer.change.open_incidents)
            help_ = "keep these assets, end the incidents first, or give --force"
            what = f"{standing} open incidents stand on assets that would go: {names}"
            fail(f"{what}; {help_}", Code.FINDINGS, as_json=json)
        if apply and offer.change:
            with replacing(offer.files, offer.target, offer.data):
                told["applied"] = True
    answer(told, [*offer.change.lines(), _next(offer, told, apply=apply)], as_json=json)


@assets.command("export")
def export(
    config: ConfigFile,
    format_: Annotated[str, typer.Option("--format", help="geojson or csv.")] = "geojson",
    out: Annotated[Path | None, typer.Option(help="Write it here.")] = None,
    *,
    json: Json = False,
) -> None:
    """All assets in force, as one file that reads back as the same."""
    from gateway.config import read_settings
    from gateway.inventory.asset_files import read_whole
    from gateway.inventory.asset_writing import FORMATS, written

    if format_ not in FORMATS:
        fail(f"--format {format_}: {' or '.join(FORMATS)}", Code.USAGE, as_json=json)
    with told_plainly(as_json=json):
        city = read_whole(read_settings(config).assets.files)
        text = written(city.assets.values(), format_)
        if out is not None:
            out.write_bytes(text.encode())
    told: dict[str, Any] = {"assets": len(city.assets), "format": format_}
    told |= {"file": str(out)} if out is not None else {"text": text}
    shown = [f"{len(city.assets)} assets in {out}"] if out is not None else text.splitlines()
    answer(told, shown, as_json=json)


def _next(offer: _Offer, told: dict[str, Any], *, apply: bool) -> str:
    if told["applied"]:
        return f"written to {offer.target}; in force after `sense311 rules reload`"
    if not apply and offer.change:
        return f"nothing is written; --apply puts it in place of {offer.target}"
    return "nothing is written"


def _offer(config: Path, new: Path, to: Path | None, *, as_json: bool) -> _Offer:
    """Or the end of the command, with the findings of the new file."""
    from gateway.books.ledger import incidents_of
    from gateway.config import read_settings
    from gateway.errors import ConfigError
    from gateway.inventory.asset_difference import difference
    from gateway.inventory.asset_files import offered, read_whole

    files = read_settings(config).assets.files
    target = _target(files, to, as_json=as_json)
    before = read_whole(files)
    try:
        data, after, left_out = offered(files, target, new)
    except ConfigError as error:
        answer(findings_answer(error.findings), map(str, error.findings), as_json=as_json)
        raise typer.Exit(Code.FINDINGS) from None
    for line in left_out:
        say(line)
    database = database_of(config)
    incidents = incidents_of(database, ended=False) if database.exists() else []
    open_on = [incident["subject"] for incident in incidents]
    return _Offer(files, target, data, difference(before, after, open_on))


def _target(files: Sequence[Path], to: Path | None, *, as_json: bool) -> Path:
    """The one file, or that which was named."""
    named = [path for path in files if to is not None and path.resolve() == to.resolve()]
    chosen = named if to is not None else files
    if len(chosen) != 1:
        told = ", ".join(map(str, files))
        fail(f"--to: one of the asset files, {told}", Code.USAGE, as_json=as_json)
    return chosen[0]
