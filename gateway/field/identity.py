"""Whose reading it is: an asset's, or nobody's, if it comes from something that moves.

Pure. A reading that nobody can be found for is refused with what its sender must change; nothing is
ever guessed from what a reading says.
"""

from gateway.inventory.assets import Asset, City
from gateway.refusal import Reason, Refusal
from gateway.telemetry import Reading


def identify(
    reading: Reading, city: City, *, allow_simulated: bool = False
) -> Asset | Refusal | None:
    """The asset that the device speaks for; None for a vehicle, which needs none but a position."""
    address = reading.address
    asset = city.by_device.get(address.device)
    if reading.sim and not allow_simulated:
        hint = "allow it with ingest.allow_simulated, on a test system"
        return Refusal(Reason.SIMULATED, "sim", "simulated readings are not accepted", hint)
    if asset is not None:
        return asset if asset.kind == address.kind else _wrong_kind(reading, asset)
    if address.kind != "road":
        hint = "add it to the devices of an asset"
        message = f"no asset has a device {address.device!r}"
        return Refusal(Reason.UNKNOWN_DEVICE, "topic", message, hint)
    if reading.loc is None:
        hint = "a device without an asset moves: send loc as [latitude, longitude]"
        return Refusal(Reason.NO_POSITION, "loc", "no position", hint)
    return None


def _wrong_kind(reading: Reading, asset: Asset) -> Refusal:
    zone, kind, device, _ = reading.address
    message = f"{device!r} is a device of a {asset.kind}, not of a {kind}"
    hint = f"publish to city/v1/{zone}/{asset.kind}/{device}/..."
    return Refusal(Reason.WRONG_KIND, "topic", message, hint)
