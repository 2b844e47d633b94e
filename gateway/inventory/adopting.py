"""A device taken in: entered among those of an asset, after everything that speaks against it.

Reads the books beside the running gateway and has the asset file written by `asset_files`, under
its lock; nothing else in that file changes.
"""

from pathlib import Path
from typing import NamedTuple

from gateway.books.ledger import device_of
from gateway.books.survey import member_of
from gateway.config import Config
from gateway.field.fleet import Now
from gateway.inventory.asset_files import alone, enter_devices, read_whole


class NotAdoptedError(Exception):
    """It cannot be; the message says why. `missing`: there is no such device or asset."""

    def __init__(self, text: str, *, missing: bool = False) -> None:
        super().__init__(text)
        self.missing = missing


class Adopted(NamedTuple):
    """All devices that the asset has now, and where that stands."""

    devices: list[str]
    file: Path


def adopt(config: Config, device: str, asset: str, now_ms: int) -> Adopted:
    """NotAdoptedError, ConfigError, StoreError: the file is as it was."""
    files = config.assets.files
    with alone(files):
        listed = _listed(config, device, asset, now_ms)
        return Adopted(listed, enter_devices(files, asset, listed))


def _listed(config: Config, device: str, name: str, now_ms: int) -> list[str]:
    city, database = read_whole(config.assets.files), config.store.folder / "sense311.db"
    asset, other = city.assets.get(name), city.by_device.get(device)
    if asset is None:
        help_ = "name one of the asset file, or enter it there first"
        raise NotAdoptedError(f"there is no asset {name!r}; {help_}", missing=True)
    if other is not None:
        told = "already" if other is asset else f"already for {other.id}"
        help_ = "" if other is asset else f"; take it from the devices of {other.id} first"
        raise NotAdoptedError(f"{device} speaks {told}{help_}")
    heard = member_of(database, device, city, Now(now_ms))
    if heard is None:
        help_ = "`sense311 devices ls` names all"
        text = f"nobody has heard of a device {device!r}; {help_}"
        raise NotAdoptedError(text, missing=True)
    kind = heard.device.kind
    if kind not in ("", asset.kind):
        help_ = f"it publishes to .../{kind}/{device}/...: mend that, or the asset"
        what = f"{device} is a {kind}, and {name} a {asset.kind}"
        raise NotAdoptedError(f"{what}; {help_}")
    speaks_itself = not asset.devices and device_of(database, name) is not None
    return [*([name] if speaks_itself else asset.devices), device]
