"""Commands that run beside the gateway: `console` and `public`; `run` starts them where they are
configured.

Each in a process of its own, until a signal.
"""

from typing import Annotated

import typer

from gateway.cli.output import Json, answer, told_plainly
from gateway.cli.service import ConfigFile


def add_to(app: typer.Typer) -> None:
    for command in (console, public):
        app.command()(command)


Port = Annotated[int | None, typer.Option(help="In place of the configured one; 0: any free one.")]


Beside = Annotated[bool, typer.Option("--beside", hidden=True, help="Ends when its input does.")]


def console(
    config: ConfigFile, *, port: Port = None, beside: Beside = False, json: Json = False
) -> None:
    """The console and the HTTP interface, until a signal; `run` starts it with the gateway."""
    from gateway.children import be_a_child
    from gateway.web.server import serve

    if beside:
        be_a_child()

    def ready(url: str) -> None:
        answer({"url": url}, [url], as_json=json)

    with told_plainly(as_json=json):
        serve(config, ready, port=port)


def public(
    config: ConfigFile, *, port: Port = None, beside: Beside = False, json: Json = False
) -> None:
    """The residents' page and the open data, until a signal; `run` starts it with the gateway."""
    from gateway.children import be_a_child
    from gateway.public.server import serve

    if beside:
        be_a_child()

    def ready(url: str) -> None:
        answer({"url": url}, [url], as_json=json)

    with told_plainly(as_json=json):
        serve(config, ready, port=port)
