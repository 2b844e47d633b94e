"""Where the broker is, who the gateway is there, what it subscribes to, how TLS is checked.

Plain values and files that are read; it connects to nothing. A password is in no log and no error.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

# Three filters that do not overlap: some brokers deliver once per matching filter.
# `status` is retained, so a lost one comes again with the next subscription; at QoS 1 the bundled
# broker would count every retained message that a killed gateway had not acknowledged as in flight
# for ever, until nothing more fits.
FILTERS = (("city/v1/+/+/+/telemetry", 1), ("city/v1/+/+/+/batch", 1), ("city/v1/+/+/+/status", 0))


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is and who we are."""

    url: str
    username: str | None = None
    password: str | None = None
    client_id: str = "sense311-gateway"
    ca_file: Path | None = None
    certificate_file: Path | None = None
    """Of the gateway, where the broker asks for one; with it `key_file`."""
    key_file: Path | None = None
    sources: tuple[str, ...] = ()
    """Topic filters beside those of the contract."""

    @property
    def filters(self) -> list[tuple[str, int]]:
        return [*FILTERS, *((topic, 1) for topic in self.sources)]

    def __repr__(self) -> str:
        return f"BrokerSettings(url={self.url!r}, username={self.username!r})"


def tls_context(
    ca_file: Path | None, certificate_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """The broker's certificate and host name are always checked; ours is shown where there is one.
    OSError: a file is not what it should be.
    """
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate_file is not None:
        # A key with a pass phrase is a file that is not what it should be: nobody is there to ask.
        context.load_cert_chain(certificate_file, key_file, password=lambda: "")
    return context
