"""The simulated 311 desk: a GeoReport v2 server on the loopback address, with a ledger on disk.

Stands in for a city in tests and in the demo, and misbehaves on demand. It shares no code with the
gateway, so that a mistake in one is not hidden by the same mistake in the other. What it answered
for is in its ledger; it never reaches beyond this machine.
"""

from simulators.desk.controls import faults_from
from simulators.desk.dialect import DIALECTS
from simulators.desk.faults import Faults
from simulators.desk.ledger import LedgerRefusedError
from simulators.desk.server import DeskConfig, serve
from simulators.desk.services import Services, ServicesRefusedError, read_services

__all__ = [
    "DIALECTS",
    "DeskConfig",
    "Faults",
    "LedgerRefusedError",
    "Services",
    "ServicesRefusedError",
    "faults_from",
    "read_services",
    "serve",
]
