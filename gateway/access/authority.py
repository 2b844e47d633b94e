"""A small certificate authority in a folder, for devices that have certificates and no passwords.

It runs `deploy/mosquitto/certificates.sh`, which makes every key with openssl, and issues or
revokes one name at a time. The authority itself is made by a person; its folder stays off the
broker.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.access.credentials import BrokerError, BrokerReason
from gateway.access.logins import Login


@dataclass(frozen=True)
class Authority:
    """The folder of a small certificate authority, kept by `deploy/mosquitto/certificates.sh`."""

    folder: Path
    script: Path = Path(__file__).resolve().parents[2] / "deploy/mosquitto/certificates.sh"

    def has(self, name: str) -> bool:
        return (self.folder / f"{name}.crt").exists()

    def issue(self, name: str) -> None:
        """One that is there is kept."""
        if not self.has(name):
            self._run("issue", name)

    def revoke(self, name: str) -> None:
        if self.has(name):
            self._run("revoke", name)

    def login(self, url: str, name: str) -> Login:
        crt, key = (str(self.folder.resolve() / f"{name}.{end}") for end in ("crt", "key"))
        return Login(url, name, None, str(self.folder.resolve() / "ca.crt"), crt, key)

    def _run(self, verb: str, name: str) -> None:
        if not (self.folder / "ca.key").exists():
            hint = "deploy/mosquitto/certificates.sh FOLDER init HOSTNAME makes one"
            message = "holds no certificate authority"
            raise BrokerError(BrokerReason.BAD_CONFIG, str(self.folder), message, hint)
        command = ["bash", str(self.script), str(self.folder), verb, name]
        try:
            done = subprocess.run(  # noqa: S603 - our own script; the name is a device id
                command, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise self._failure(verb, name, str(error)) from None
        if done.returncode:
            raise self._failure(verb, name, (done.stderr.strip().splitlines() or ["failed"])[-1])

    def _failure(self, verb: str, name: str, message: str) -> BrokerError:
        hint = f"{self.folder / 'openssl.log'} says more"
        return BrokerError(BrokerReason.BAD_CONFIG, f"{verb} {name}", message, hint)
