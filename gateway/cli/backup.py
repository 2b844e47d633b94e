"""Commands that keep the books safe: `backup`, beside the running gateway, and `restore`.

A backup is made whole or not at all. Restoring explains what is to be done next, since a restored
store does not know what was filed since the backup.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail, told_plainly
from gateway.cli.service import ConfigFile

if TYPE_CHECKING:
    from gateway.books.backup import Restored


def add_to(app: typer.Typer) -> None:
    for command in (backup, restore):
        app.command()(command)


def backup(
    config: ConfigFile,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Made; not there yet.")],
    *,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="The files of secrets too; keep it safe.")
    ] = False,
    json: Json = False,
) -> None:
    """Copy the store, the configuration and all that it names, while the gateway runs."""
    from gateway.books.backup import BackupError, back_up
    from gateway.clock import SystemClock

    with told_plainly(as_json=json):
        try:
            manifest = back_up(config, to, SystemClock().now_ms(), with_secrets=with_secrets)
        except BackupError as error:
            fail(str(error), Code.FINDINGS, as_json=json)
    size = sum(entry["bytes"] for entry in manifest["files"])
    lines = [f"{to}: {len(manifest['files'])} files, {size} bytes, checked"]
    lines += [f"not in it: {path}" for path in manifest["left_out"]]
    answer(manifest | {"ok": True, "folder": str(to)}, lines, as_json=json)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A backup.")],
    config: ConfigFile,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Set a store that is there aside.")
    ] = False,
    files: Annotated[
        bool, typer.Option("--files", help="Also configuration, rules and assets that differ.")
    ] = False,
    json: Json = False,
) -> None:
    """Put a backup back, where no gateway runs. Nothing is filed then until `requests go`.

    A configuration that is not there comes from the backup.
    """
    from gateway.books.backup import BackupError
    from gateway.books.backup import restore as put_back
    from gateway.clock import SystemClock

    now_ms = SystemClock().now_ms()
    with told_plainly(as_json=json):
        try:
            done = put_back(folder, config, now_ms, replace=replace, files=files)
        except BackupError as error:
            fail(str(error), Code.FINDINGS, as_json=json)
    told: dict[str, Any] = {name: getattr(done, name) for name in type(done).__slots__}
    answer({"ok": True} | told, _lines(done, config), as_json=json)


def _lines(done: "Restored", config: Path) -> Iterator[str]:
    yield f"{done.store}: as it was at {done.made_at}"
    if done.set_aside is not None:
        yield f"the store that was there lies in {done.set_aside}"
    yield from (f"put back: {path}" for path in done.files)
    yield from (f"left as it is, and not as in the backup: {path}" for path in done.kept)
    yield from (f"a secret, give it by hand: {path}" for path in done.secrets)
    yield ""
    yield "What was filed since, this store does not know. So nothing is sent until you say so:"
    yield f"  1. sense311 check -c {config}; then start the gateway"
    yield f"  2. it looks at the city for {done.in_doubt} requests that were on their way, and for"
    yield "     each fault that it finds again: what is there already is taken for its own"
    yield f"  3. sense311 requests ls -c {config}: compare what is ready or in review with the city"
    yield f"  4. sense311 requests go -c {config}"
