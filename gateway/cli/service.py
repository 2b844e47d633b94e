"""Commands that run the service: `run`, `check`, `status`, `broker`, `desk`.

Each checks all that it is given before it starts anything, and ends on a signal with exit code 0.
"""

import dataclasses
import json as json_
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail, findings_answer, told_plainly

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.plans import Plans

ConfigFile = Annotated[
    Path, typer.Option("-c", "--config", help="The configuration file.", metavar="FILE")
]


def add_to(app: typer.Typer) -> None:
    for command in (run, check, status, broker, desk):
        app.command()(command)


def run(config: ConfigFile, *, json: Json = False) -> None:
    """The gateway, until a signal. SIGTERM drains and exits 0; SIGHUP reloads rules and assets.

    When the rule files cannot be used, it goes on with the rules that were in force last.
    """
    from gateway.app import Gateway
    from gateway.config import read_config
    from gateway.errors import StoreError
    from gateway.plans import prepare
    from gateway.watch.logs import Log, Said
    from gateway.watch.supervisor import Supervisor

    with told_plainly(as_json=json):
        plans = _plans_to_run(config)
        _log_plans(plans)
        supervisor = Supervisor(os.environ)
        gateway = Gateway(
            plans, read_again=lambda: prepare(*read_config(config)), supervisor=supervisor
        )
        signal.signal(signal.SIGHUP, lambda *_: gateway.reload())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: gateway.stop())
        try:
            with _beside(plans.config, config):
                gateway.run()
        except StoreError as error:
            Log("gateway.app").critical(Said.STORE_FAILED, "the store failed", why=error)
            message = f"{error}: stopped, to begin again from what is stored"
            fail(message, Code.OUTSIDE, as_json=json)
    Log("gateway.app").info(Said.STOPPED, "the gateway has stopped")
    answer(gateway.status(), [], as_json=json)


@contextmanager
def _beside(config: "Config", path: Path) -> Iterator[None]:
    """The pages that are configured, as processes of their own, as long as the gateway runs."""
    from gateway.children import Child, Children

    wanted = (("console", config.console), ("public", config.public))
    found = [
        Child(name, (name, "-c", str(path), "--beside"))
        for name, section in wanted
        if section is not None
    ]
    children = Children(found)
    thread = threading.Thread(target=children.run, name="children")
    thread.start()
    try:
        yield
    finally:
        children.stop()
        thread.join()


def check(config: ConfigFile, *, json: Json = False) -> None:
    """Check the configuration and all that it names, without starting anything."""
    from gateway.config import read_config
    from gateway.plans import prepare

    with told_plainly(as_json=json):
        plans = prepare(*read_config(config))
    result = findings_answer(plans.warnings)
    size = f"{len(plans.bundle.rules)} rules, {len(plans.city.assets)} assets"
    lines = [*map(str, plans.warnings), f"{config}: good, {size}"]
    answer(result, lines, as_json=json)


def status(config: ConfigFile, *, json: Json = False) -> None:
    """What the running gateway last said of itself: green; amber, which works but waits for
    somebody; or red; and why.
    """
    from gateway.clock import SystemClock
    from gateway.config import read_settings
    from gateway.watch.status import read_status

    with told_plainly(as_json=json):
        folder = read_settings(config).store.folder
        try:
            said = read_status(folder, SystemClock().now_ms())
        except FileNotFoundError:
            fail(f"{folder}: no gateway has run here", Code.OUTSIDE, as_json=json)
    answer(said, _status_lines(said), as_json=json)
    raise typer.Exit(Code.GOOD if said["state"] == "green" else Code.FINDINGS)


def broker(
    folder: Annotated[Path, typer.Option("--dir", help="Where it keeps its data.")],
    port: Annotated[int, typer.Option(help="0 picks a free one and keeps it.")] = 0,
    devices: Annotated[
        Path | None,
        typer.Option(help='JSON file {"user": ["device", ...]}: who may speak for which devices.'),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(help='JSON file {"user": ["filter", ...]}: what other platforms publish to.'),
    ] = None,
    sync: Annotated[
        str, typer.Option(help="When messages reach the disk: always, or an interval (2m).")
    ] = "always",
    *,
    json: Json = False,
) -> None:
    """The bundled broker, on loopback, until a signal. Passwords: DIR/credentials.json.

    Before it is ready it is tried: if a device could speak for another, it is not started.
    """
    from gateway.access.credentials import BrokerConfig, credentials_path
    from gateway.access.embedded import run_foreground
    from gateway.access.provisioning import SELF_TEST_USERS, self_test_logins
    from gateway.access.self_test import try_broker
    from gateway.watch.supervisor import Supervisor

    def ready(url: str) -> None:
        try_broker(*self_test_logins(folder)).verdict(url)
        Supervisor(os.environ).began()
        where = str(credentials_path(folder))
        lines = [f"{url}, credentials in {where}"]
        answer({"url": url, "credentials": where}, lines, as_json=json)

    with told_plainly(as_json=json):
        users = _by_user(devices, "device") if devices is not None else {}
        topics = _by_user(sources, "filter") if sources is not None else {}
        users.update(SELF_TEST_USERS)
        config = BrokerConfig(folder, port=port, sync=sync, devices=users, sources=topics)
        raise typer.Exit(run_foreground(config, ready))


def desk(
    db: Annotated[Path, typer.Option(help="Its ledger on disk.")],
    api_key_file: Annotated[Path, typer.Option(help="Holds the key that clients must send.")],
    port: Annotated[int, typer.Option(help="0 picks a free one.")] = 0,
    faults: Annotated[
        str | None, typer.Option(help='How it misbehaves, as JSON: {"drop_after_rate": 0.3}')
    ] = None,
    dialect: Annotated[
        str, typer.Option(help="Whose GeoReport v2 it speaks, as `city profiles` names them.")
    ] = "generic",
    jurisdiction: Annotated[
        str | None, typer.Option(help="The jurisdiction_id that every call has to name.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """The simulated 311 desk: a GeoReport v2 server on loopback, until a signal."""
    from simulators.desk import DIALECTS, DeskConfig, Faults, faults_from, serve

    if dialect not in DIALECTS:
        known = ", ".join(sorted(DIALECTS))
        fail(f"desk: no dialect {dialect!r}; there are {known}", Code.USAGE, as_json=json)

    def ready(url: str) -> None:
        answer({"url": url}, [url], as_json=json)

    try:
        key = api_key_file.read_text("utf-8").strip()
        told = faults_from(faults) if faults is not None else Faults()
        spoken = DIALECTS[dialect]
        settings = DeskConfig(port, db, key, told, jurisdiction, dialect=spoken)
        serve(settings, ready)
    except ValueError as error:
        fail(f"desk: {error}", Code.USAGE, as_json=json)
    except OSError as error:
        fail(f"desk: {error}", Code.OUTSIDE, as_json=json)


def _plans_to_run(config: Path) -> "Plans":
    """Of the files; where only the rules are broken, with those in force last. ConfigError."""
    from gateway.books.ledger import rules_in_force
    from gateway.config import read_config
    from gateway.errors import ConfigError
    from gateway.plans import RuleTexts, prepare, prepare_with

    read, secrets = read_config(config)
    try:
        return prepare(read, secrets)
    except ConfigError as error:
        kept = rules_in_force(read.store.folder / "sense311.db")
        if not kept:
            raise
        try:
            plans = prepare_with(RuleTexts.from_json(kept), read, secrets)
        except ConfigError:
            raise error from None
        return dataclasses.replace(plans, broken=error.findings)


def _status_lines(said: dict[str, Any]) -> Iterator[str]:
    """The status for people: what is in force and what became of the last reload in words."""
    for key, value in said.items():
        if key == "rules":
            shadow = f", {len(value['shadow'])} in shadow" if value["shadow"] else ""
            version = value["version"][:12]
            yield f"rules: {value['count']}{shadow}, version {version}, since {value['since']}"
        elif key == "reload":
            yield from reload_lines(value)
        elif key != "figures":
            yield f"{key}: {value}"


def reload_lines(told: dict[str, Any]) -> Iterator[str]:
    """What became of a reload, with the reasons."""
    problem = f": {told['problem']}" if told["problem"] else ""
    yield f"reload: {told['result']} at {told['at']}{problem}"
    for finding in told["findings"]:
        where = f"{finding['file']}:{finding['line']}:{finding['column']}"
        hint = f" ({finding['help']})" if finding["help"] else ""
        yield f"  {where}: {finding['code']}: {finding['message']}{hint}"
    if told["findings_left_off"]:
        yield f"  and {told['findings_left_off']} more: sense311 check -c FILE says them all"
    if told["at_restart"]:
        sections = ", ".join(f"[{name}]" for name in told["at_restart"])
        yield f"  changed too, but in force only after a restart: {sections}"


def _by_user(path: Path, what: str) -> dict[str, Sequence[str]]:
    from gateway.errors import ConfigError
    from rules.finding import Finding

    try:
        users = json_.loads(path.read_text("utf-8"))
        return {str(user): [str(each) for each in list(own)] for user, own in users.items()}
    except (ValueError, AttributeError, TypeError):
        help_ = f'{{"user": ["{what}", ...]}}'
        finding = Finding(str(path), 1, 1, "E408", f"not a list of {what}s by user", help_)
        raise ConfigError([finding]) from None


def _log_plans(plans: "Plans") -> None:
    """What it starts with, and in the form of the configuration from now on."""
    from gateway.reload import tell_findings
    from gateway.watch.logs import Log, Said, configure

    log, bundle = Log("gateway.app"), plans.bundle
    configure(plans.config.logs.format)
    tell_findings((*plans.broken, *plans.warnings))
    if plans.broken:
        log.error(
            Said.RULES_FROM_BEFORE,
            "these rules cannot be used: running with those that were in force last",
        )
    log.info(Said.STARTED, "the gateway starts", rules=len(bundle.rules), version=bundle.version)
