"""The page of one rule: what it watches, when it fires, what it files, its settings and tests.

Its text is shown as text. Promoting and the way back ask why and go through `deeds`.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from urllib.parse import quote

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.console.asking import Question, ask
from gateway.console.backtesting import Ask, Panel
from gateway.console.frame import Console, Visit
from gateway.console.parts import Cell, facts, heading, table
from gateway.console.rule_parts import (
    Running,
    code,
    lines,
    more,
    part,
    state_chip,
    state_text,
)
from gateway.console.rule_tests import run_tests
from gateway.console.rules import HERE, edit_path, rule_path
from gateway.phrases import Phrases
from gateway.plans import RuleTexts
from gateway.staff.deed import Deed, Outcome, may
from gateway.views.rule_page import Clause, ConditionView, Filed, RulePage, Timing, rule_page
from gateway.views.rule_sheets import in_force
from gateway.views.workbench import RECENT_DAYS


def add_to(console: Console) -> None:
    @console.page("/rules/{rule}")
    async def one(visit: Visit) -> None:
        page = await asyncio.to_thread(rule_page, visit.books, str(visit.path["rule"])[:200])
        if page is None:
            with visit.frame(visit.words.say("There is no such rule"), here=HERE):
                ui.link(visit.words.say("All rules"), HERE)
            return
        with visit.frame(page.rule.id, here=HERE):
            _head(visit, page)
            _when(page, visit.words)
            _filed(page, visit.words)
            _settings(page, visit.words)
            _tests(visit, page)
            _shadow(visit, page)
            with part(visit.words.say("Backtest")):
                Panel(visit, partial(_ask, visit, page), compares=False)


def _ask(visit: Visit, page: RulePage) -> Ask:
    """One that is left out runs for once."""
    texts, rule = in_force(visit.books), page.rule.id
    disable = [name for name in texts.disable if name != rule]
    return Ask(page.rule.file, RuleTexts(texts.sources, texts.params, disable), (rule,))


# -- the head -------------------------------------------------------------------------------------


def _head(visit: Visit, page: RulePage) -> None:
    say, rule = visit.words.say, page.rule
    with ui.element("div").classes("s-row"):
        state_chip(rule.state, visit.words)
        ui.label(state_text(rule.state, visit.words))
    ui.label(rule.title).classes("s-h3")
    if page.doc:
        ui.label(page.doc).classes("s-text")
    with ui.element("div").classes("s-row"):
        _buttons(visit, page)
    incidents = f"/incidents?rule={quote(rule.id, safe='')}"
    about: dict[str, Cell] = {
        say("Open incidents"): lambda: ui.link(str(rule.open), incidents),
        say("Filed in {days} days", days=str(RECENT_DAYS)): str(rule.filed),
        say("Sensor"): rule.sensor,
        say("About"): _about(rule.scope, visit.words),
        say("Fault (uCIFI)"): page.fault,
        say("Owner"): page.owner,
        say("Template"): page.template,
        say("Written in"): lambda: ui.link(
            f"{rule.file}:{rule.line}", edit_path(rule.file, rule.line)
        ),
    }
    facts({name: value for name, value in about.items() if value})


def _about(scope: str, words: Phrases) -> str:
    return {
        "asset": words.say("one asset"),
        "circuit": words.say("a circuit"),
        "zone": words.say("a zone"),
        "place": words.say("a place on the road"),
    }.get(scope, scope)


def _buttons(visit: Visit, page: RulePage) -> None:
    say, rule = visit.words.say, page.rule
    looks = (
        say("Edit") if rule.own and may(visit.person, Deed.SAVE_RULE) else say("Look at its file")
    )
    ui.button(looks, on_click=lambda: ui.navigate.to(edit_path(rule.file, rule.line)))
    if rule.own and rule.state == "shadow" and may(visit.person, Deed.PROMOTE):
        ui.button(say("Promote"), on_click=partial(_promote, visit, page))
    if rule.own and rule.state == "live" and may(visit.person, Deed.SHADOW):
        ui.button(say("Into the shadow"), on_click=partial(_into_shadow, visit, page)).props("flat")
    if not rule.own and not (page.absorbs or page.absorbed_by):
        target = f"/rules/edit?copy={quote(rule.id, safe='')}"
        ui.button(say("Copy as a rule of your own"), on_click=lambda: ui.navigate.to(target)).props(
            "flat"
        )
    if not rule.own:
        text = say(
            "It comes with sense311 and is not edited. Its settings are set under [rules.params]; "
            "it is left out with [rules] disable."
        )
        ui.label(text).classes("s-quiet s-text")
        if page.absorbs or page.absorbed_by:
            text = say(
                "It and other rules name each other. To change it, copy its whole file into a "
                "folder of [rules] files, set [rules] library = false and copy the other files too."
            )
            ui.label(text).classes("s-quiet s-text")


def _promote(visit: Visit, page: RulePage) -> None:
    say, rule = visit.words.say, page.rule.id
    would = sum(week.count for week in page.shadow_weeks)
    still = sum(week.open for week in page.shadow_weeks)
    explanation = say(
        "What it finds is filed from then on. In shadow it would have filed {count}; {open} of "
        "these still stand and are filed at once.", count=str(would), open=str(still),
    )  # fmt: skip

    _ask_for(visit, Question(Deed.PROMOTE, say("Promote"), explanation), rule)


def _into_shadow(visit: Visit, page: RulePage) -> None:
    say, rule = visit.words.say, page.rule.id
    explanation = say(
        "It is judged as before, and what it would file is only recorded. What is filed stays."
    )

    _ask_for(visit, Question(Deed.SHADOW, say("Into the shadow"), explanation), rule)


def _ask_for(visit: Visit, question: Question, rule: str) -> None:
    deeds = visit.console.deeds
    act = deeds.promote if question.deed is Deed.PROMOTE else deeds.shadow

    async def after(outcome: Outcome) -> None:
        if outcome.done and visit.client.has_socket_connection:
            ui.navigate.to(rule_path(rule))

    ask(visit, question, lambda who, _said, why: act(who, rule, why), after)


# -- what it says ---------------------------------------------------------------------------------


def _when(page: RulePage, words: Phrases) -> None:
    leads = {
        "hit": words.say("A reading of a vehicle counts as a hit when"),
        "when": words.say("The fault is there while"),
        "unless": words.say("It is not believed while"),
        "clear": words.say("It is over when"),
    }
    with part(words.say("When it fires")):
        for condition in page.conditions:
            heading(leads[condition.part], 3)
            _condition(condition, words)
        heading(words.say("In time"), 3)
        lines(_times(page.timing, words))


def _condition(condition: ConditionView, words: Phrases) -> None:
    code(condition.text)
    if len(condition.clauses) > 1:
        ui.label(words.say("With its values:")).classes("s-quiet")
        _tree(condition.clauses, words)
    elif condition.clauses and condition.clauses[0].text != condition.text:
        ui.label(words.say("With its values:")).classes("s-quiet")
        code(condition.clauses[0].text)


def _tree(clauses: Sequence[Clause], words: Phrases) -> None:
    """As nested lists. The first clause is the root of all others."""
    joined = {"all": words.say("all of these"), "any": words.say("any of these")}
    with ui.element("ul").classes("s-clauses"):
        at = 0
        while at < len(clauses):
            end = at + 1
            while end < len(clauses) and clauses[end].depth > clauses[at].depth:
                end += 1
            with ui.element("li"):
                text, inner = clauses[at].text, clauses[at + 1 : end]
                TextElement(tag="span", text=joined[text] if inner else text).classes(
                    "" if inner else "s-code"
                )
                if inner:
                    _tree(inner, words)
            at = end


def _times(timing: Timing, words: Phrases) -> list[str]:
    say = words.say
    one = timing
    told = [
        (one.lasts, say("It must last {time}.", time=one.lasts)),
        (one.samples > 1, say("Samples that must agree: {count}.", count=str(one.samples))),
        (one.gap, say("A gap of more than {time} between samples starts it anew.", time=one.gap)),
        (one.blind, say("After {time} without samples it is blind.", time=one.blind)),
        (one.clears_after, say("It is over when this has lasted {time}.", time=one.clears_after)),
        (one.late, say("Filing waits {time} for late samples.", time=one.late)),
        (one.holds, say("Filing waits {time} for a wider fault.", time=one.holds)),
    ]
    return [text for wanted, text in told if wanted]


def _filed(page: RulePage, words: Phrases) -> None:
    with part(words.say("What is filed")):
        if page.filed is None:
            ui.label(words.say("Nothing: it is kept and shown for the operators."))
        else:
            _request(page.filed, words)
        if page.absorbs or page.absorbed_by:
            heading(words.say("With other rules"), 3)
            with ui.element("ul").classes("s-list"):
                for child in page.absorbs:
                    _link(words.say("Faults of this rule become part of it:"), child)
                for parent in page.absorbed_by:
                    _link(words.say("It becomes part of faults of this rule:"), parent)


def _request(filed: Filed, words: Phrases) -> None:
    at_once = words.say("at once, with no wait of any kind") if filed.urgent else words.say("yes")
    facts({words.say("Service"): filed.service, words.say("Filed"): at_once})
    code(filed.description)
    for language, text in filed.translations.items():
        ui.label(language).classes("s-quiet")
        code(text)


def _link(text: str, rule: str) -> None:
    with ui.element("li"):
        TextElement(tag="span", text=f"{text} ")
        ui.link(rule, rule_path(rule))


def _settings(page: RulePage, words: Phrases) -> None:
    if not page.params:
        return
    say = words.say
    with part(say("Settings")):
        columns = [say("Name"), say("Value"), say("Range"), say("Means"), say("Source")]
        rows = [
            [one.name, say("{value} (set here)", value=one.value) if one.set_here else one.value,
             one.range, one.doc, one.source]
            for one in page.params
        ]  # fmt: skip
        table(say("Settings"), columns, rows)
        ui.label(say("Set them in the gateway's configuration, then reload:")).classes("s-quiet")
        first = page.params[0]
        code(f'[rules.params]\n"{page.rule.id}.{first.name}" = "{first.value}"')


# -- tests, and the shadow ------------------------------------------------------------------------


def _tests(visit: Visit, page: RulePage) -> None:
    say = visit.words.say
    with part(say("Tests")):
        if not page.tests:
            ui.label(say("There is no test; the tests of a rule stand under `tests:`."))
            return
        columns = [say("Test"), say("Samples"), say("Expected"), say("Line")]
        rows: list[list[Cell]] = [
            [one.name, str(one.samples), "; ".join(one.expected),
             partial(_line_link, page.rule.file, one.line)]
            for one in page.tests
        ]  # fmt: skip
        with more(say("All {count} tests", count=str(len(rows)))):
            table(say("Tests"), columns, rows)
        running = Running(visit)
        button = ui.button(say("Run the tests"))
        place = ui.element("div")

        async def run() -> None:
            file = page.rule.file
            text = in_force(visit.books).sources[file]
            await run_tests(visit, running, place, file, text, None)

        button.on_click(run)


def _line_link(file: str, line: int) -> None:
    ui.link(str(line), edit_path(file, line))


def _shadow(visit: Visit, page: RulePage) -> None:
    if not page.shadow_weeks:
        return
    say = visit.words.say
    with part(say("In shadow")):
        columns = [say("Week of"), say("Would have filed"), say("Of these still open")]
        rows = [[week.monday, str(week.count), str(week.open)] for week in page.shadow_weeks]
        table(say("In shadow"), columns, rows)
