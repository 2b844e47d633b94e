"""The command line: one file for each group of commands.

The only room that may import everything, and nothing imports it. Commands import what they need
when they run, so that `--help` stays quick. Each takes `--json`: one JSON object on standard
output, everything else on standard error. Exit codes: 0 good, 1 findings or refusals, 2 wrong usage
or configuration, 3 an outside part failed.
"""

import typer

from gateway.cli import (
    ask,
    audit,
    backup,
    beside,
    city,
    cityhall,
    devices,
    fleet,
    hand,
    people,
    provisioning,
    published,
    registry,
    service,
    simulating,
    workbench,
)

app = typer.Typer(
    name="sense311",
    help="City sensor faults become exactly one 311 request each.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
service.add_to(app)
devices.add_to(app)
published.add_to(app)
city.add_to(app)
beside.add_to(app)
backup.add_to(app)
provisioning.add_to(fleet.devices)
app.add_typer(fleet.devices, name="devices")
app.add_typer(fleet.dlq, name="dlq")
app.add_typer(registry.assets, name="assets")
app.add_typer(ask.incidents, name="incidents")
app.add_typer(ask.requests, name="requests")
app.add_typer(hand.silence, name="silence")
app.add_typer(audit.audit, name="audit")
app.add_typer(people.users, name="users")
app.add_typer(people.tokens, name="tokens")
app.add_typer(cityhall.city, name="city")
app.add_typer(simulating.app, name="sim")
app.add_typer(workbench.app, name="rules")


def main() -> None:
    """The entry point of the `sense311` command."""
    app()
