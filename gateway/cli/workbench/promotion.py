"""`rules promote|shadow`: a rule out of the shadow, or into it.

Edits one word of the rule's file, and only a file that checks. With the gateway's configuration it
also says what the rule would have filed so far, from the gateway's books, which it only reads.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail, told_plainly
from gateway.cli.workbench.bundle import refuse

if TYPE_CHECKING:
    from gateway.plans import RuleTexts

_ABOUT = {"shadow": "judged and recorded, not filed", "live": "what it finds is filed"}

Rule = Annotated[str, typer.Argument(metavar="RULE", help="The id of the rule.")]
RuleFiles = Annotated[
    list[Path] | None, typer.Argument(metavar="FILE...", help="Rule files, or folders of them.")
]
GivenConfig = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="The gateway's configuration.", metavar="FILE"),
]


def add_to(app: typer.Typer) -> None:
    app.command("promote")(promote)
    app.command("shadow")(shadow)


def promote(
    rule: Rule, files: RuleFiles = None, *, config: GivenConfig = None, json: Json = False
) -> None:
    """Out of the shadow: `mode: live` in the rule's file. With -c: what it would have filed."""
    _set_mode(rule, "live", files or [], config, as_json=json)


def shadow(
    rule: Rule, files: RuleFiles = None, *, config: GivenConfig = None, json: Json = False
) -> None:
    """Into the shadow: `mode: shadow`. It is judged as before and records what it would file."""
    _set_mode(rule, "shadow", files or [], config, as_json=json)


def _set_mode(
    rule: str, mode: str, files: Sequence[Path], config: Path | None, *, as_json: bool
) -> None:
    from gateway.errors import ConfigError
    from gateway.staff.rule_files import NotOursError, set_mode

    if not files and config is None:
        fail("name the rule files, or the configuration with -c", Code.USAGE, as_json=as_json)
    with told_plainly(as_json=as_json):
        texts, record = _texts_and_record(rule, files, config, as_json=as_json)
        try:
            file, changed = set_mode(texts, rule, mode)
        except ConfigError as error:
            refuse(error.findings, as_json=as_json)
        except NotOursError as no:
            fail(str(no), Code.FINDINGS, as_json=as_json)
    about = f"{rule}: mode {mode}, {_ABOUT[mode]}"
    done = f"{file}: {about}" if changed else f"{file}: it says so already; {about}"
    hint = "in force with: sense311 rules reload -c CONFIG"
    result = {"ok": True, "rule": rule, "mode": mode, "file": file, "changed": changed}
    lines = [done, *_record_lines(record), *([hint] if changed else [])]
    answer(result | {"shadow_filings": record}, lines, as_json=as_json)


def _texts_and_record(
    rule: str, files: Sequence[Path], path: Path | None, *, as_json: bool
) -> tuple["RuleTexts", list[dict[str, Any]] | None]:
    """The rules to edit; with a configuration those that it names, and what the rule did."""
    from gateway.books.ledger import unfiled_of
    from gateway.cli.workbench.check import read_sources
    from gateway.config import read_settings
    from gateway.plans import RuleTexts, read_rules

    texts, record = RuleTexts(), None
    if path is not None:
        config = read_settings(path)
        database = config.store.folder / "sense311.db"
        record = _weeks(unfiled_of(database, rule)) if database.exists() else []
        texts, findings = read_rules(config)
        if findings:
            refuse(findings, as_json=as_json)
    if files:
        texts = RuleTexts(read_sources(list(files), as_json=as_json), {})
    return texts, record


def _weeks(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What it would have filed, by the week in which it fired (its Monday)."""
    from datetime import datetime, timedelta

    weeks: dict[str, Counter[str]] = {}
    for row in rows:
        fired = datetime.fromisoformat(row["fired_at"])
        monday = (fired - timedelta(days=fired.weekday())).date().isoformat()
        counts = weeks.setdefault(monday, Counter())
        counts["filings"] += 1
        counts["open"] += row["cleared_at"] is None
    return [{"week": week, **{k: weeks[week][k] for k in ("filings", "open")}} for week in weeks]


def _record_lines(record: Sequence[Mapping[str, Any]] | None) -> Iterator[str]:
    if record is None:
        return
    if not record:
        yield "in shadow it would have filed nothing so far"
    for week in record:
        still = f", {week['open']} of them still open" if week["open"] else ""
        yield f"in shadow, week of {week['week']}: would have filed {week['filings']}{still}"
