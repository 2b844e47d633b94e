"""`rules reload|plan`: from edited files to rules in force.

`reload` asks the running gateway and waits for its answer; `plan` and `reload --plan` say before
what would change and what that does to running timers and open incidents. Neither writes to the
gateway's database.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from gateway.cli.output import Code, Json, answer, fail, findings_answer, say, told_plainly
from gateway.cli.service import ConfigFile, reload_lines

if TYPE_CHECKING:
    from gateway.plans import RuleTexts
    from gateway.workbench.impact import Impact
    from rules.finding import Finding
    from rules.plan import Change
    from rules.rule import Bundle

_SIGN: Mapping[str, str] = {"added": "+", "removed": "-", "changed": "~"}


def add_to(app: typer.Typer) -> None:
    app.command("reload")(reload)
    app.command("plan")(plan)


# -- reload ---------------------------------------------------------------------------------------


def reload(
    config: ConfigFile,
    *,
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Only say what it would change and reset.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the gateway.")] = 60.0,
    json: Json = False,
) -> None:
    """Make the running gateway take up the rules and assets as they are now.

    Exit code 1: they cannot be used, the rules from before stay in force and nothing is lost.
    """
    if only_plan:
        _plan_for(config, as_json=json)
        return
    from gateway.clock import SystemClock
    from gateway.config import read_settings
    from gateway.staff.reload_by_hand import NoAnswerError, reload_by_hand

    with told_plainly(as_json=json):
        folder = read_settings(config).store.folder
        try:
            said = reload_by_hand(folder, SystemClock(), timeout)
        except NoAnswerError as no:
            fail(str(no), Code.OUTSIDE, as_json=json)
    told, rules = said["reload"], said["rules"]
    good = told["result"] != "refused"
    lines = [*reload_lines(told), f"in force: {rules['count']} rules, {rules['version'][:12]}"]
    answer({"ok": good, "reload": told, "rules": rules}, lines, as_json=json)
    raise typer.Exit(Code.GOOD if good else Code.FINDINGS)


# -- what would change ----------------------------------------------------------------------------


def plan(
    old: Annotated[Path, typer.Argument(help="Rule file, or a folder of them.")],
    new: Annotated[Path, typer.Argument(help="The same, as it would be.")],
    *,
    json: Json = False,
) -> None:
    """What differs between two bundles: rules, their parts, and whose state would be kept."""
    from gateway.cli.workbench.check import read_sources
    from rules.files import load
    from rules.plan import changes

    bundles = []
    for path in (old, new):
        bundle, findings = load(read_sources([path], as_json=json))
        if bundle is None:
            refuse(findings, as_json=json)
        bundles.append(bundle)
    found = changes(*bundles)
    result = {
        "old": bundles[0].version,
        "new": bundles[1].version,
        "changes": [each.to_dict() for each in found],
    }
    answer(result, list(_change_lines(found)), as_json=json)


def _plan_for(path: Path, *, as_json: bool) -> None:
    from gateway.books.ledger import incidents_of, rules_in_force, states_of
    from gateway.config import read_settings
    from gateway.errors import ConfigError
    from gateway.plans import RuleTexts, prepare
    from gateway.workbench.impact import impacts, phases_of, rewritten
    from rules.plan import changes

    with told_plainly(as_json=as_json):
        config = read_settings(path)
        database = config.store.folder / "sense311.db"
        kept = rules_in_force(database)
        if not kept:
            fail(f"{config.store.folder}: no rules are in force here yet", Code.OUTSIDE,
                 as_json=as_json)  # fmt: skip
        old = _in_force(RuleTexts.from_json(kept), as_json=as_json)
        try:
            plans = prepare(config)
        except ConfigError as error:
            refuse(error.findings, as_json=as_json)
        layout, rows = states_of(database)
        open_: dict[str, Counter[str]] = {}
        for incident in incidents_of(database, ended=False):
            open_.setdefault(incident["rule"], Counter())[incident["state"]] += 1
    kinds = {subject.id: subject.kind for subject in plans.city.subjects()}
    found = changes(old, plans.bundle)
    impact = impacts(found, old, plans.bundle, phases_of(rows, layout, kinds), open_)
    late = rewritten(found, old, plans.bundle)
    result = {
        "ok": True,
        "in_force": old.version,
        "new": plans.bundle.version,
        "changes": [each.to_dict() for each in impact],
        "late_samples_not_judged": late,
    }
    answer(result, list(_impact_lines(impact, late)), as_json=as_json)


def _in_force(texts: "RuleTexts", *, as_json: bool) -> "Bundle":
    bundle, findings = texts.whole()
    if bundle is None:
        refuse(findings, as_json=as_json)
    return texts.without(bundle)


def refuse(findings: Sequence["Finding"], *, as_json: bool) -> NoReturn:
    """The files cannot be used: the command ends with what is wrong with them."""
    if as_json:
        answer(findings_answer(findings), (), as_json=True)
    for finding in findings:
        say(str(finding))
    raise typer.Exit(Code.FINDINGS)


def _change_lines(found: Sequence["Change"]) -> Iterator[str]:
    from rules.plan import Kind

    if not found:
        yield "no rule changes"
    for change in found:
        state = ""
        if change.kind is Kind.CHANGED:
            texts = ", only texts" if change.only_texts else ""
            state = f" (state {'kept' if change.keeps_state else 'RESET'}{texts})"
        yield f"{_SIGN[change.kind]} {change.rule} {change.kind}{state}"
        for part in change.parts:
            if part.before == part.after:
                yield f"    {part.key}: same words, but a let or a param behind them changed"
            else:
                yield f"    {part.key}: {part.before} -> {part.after}"


def _impact_lines(impact: Sequence["Impact"], late: Sequence[str]) -> Iterator[str]:
    for each in impact:
        yield from _change_lines([each.change])
        for effect in each.effects or ("nothing is running under it now",):
            yield f"    => {effect}"
    if not impact:
        yield "no rule changes: a reload would reset nothing"
    else:
        yield "all else is kept: timers in progress, open incidents, requests"
    if late:
        kinds = ", ".join(late)
        yield f"samples from before the reload that come after it are kept but not judged: {kinds}"
