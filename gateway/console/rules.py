"""The rules: all of them with how they stand, and a page for each.

What is in force is what the gateway said last. Changing how a rule stands is for those who may, and
goes through `deeds`.
"""

import asyncio
from functools import partial
from urllib.parse import quote

from nicegui import ui

from gateway.console.asking import Question, ask
from gateway.console.frame import Console, Visit
from gateway.console.parts import Cell, chip, heading, table
from gateway.console.rule_parts import finding_text, state_chip
from gateway.phrases import Phrases
from gateway.staff.deed import Deed, may
from gateway.views.workbench import RECENT_DAYS, FileLine, FoundFault, RuleLine, RulesView, rules_of

HERE = "/rules"
LOOK_S = 5.0


def add_to(console: Console) -> None:
    shared = _Shared(console)

    @console.page("/rules")
    async def listed(visit: Visit) -> None:
        view = await shared.view()
        with visit.frame(visit.words.say("Rules"), here=HERE):
            _List(visit, view, shared)


def edit_path(file: str, line: int = 0) -> str:
    return f"/rules/edit?file={quote(file, safe='')}" + (f"&line={line}" if line else "")


def rule_path(rule: str) -> str:
    return f"/rules/{quote(rule, safe='')}"


class _Shared:
    """The rules as they were looked up last: once for all pages, however many are open."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._known: tuple[object, RulesView] | None = None
        self._looking = asyncio.Lock()

    async def view(self) -> RulesView:
        """After whatever happened, and every LOOK_S: files change without a word."""
        async with self._looking:
            mark = (self._console.mark, self._console.books.now_ms() // int(LOOK_S * 1000))
            if self._known is None or self._known[0] != mark:
                self._known = mark, await asyncio.to_thread(rules_of, self._console.books)
            return self._known[1]


class _List:
    """The page, whose figures move on; where the rules themselves change it is built anew."""

    def __init__(self, visit: Visit, view: RulesView, shared: _Shared) -> None:
        self._visit, self._shared = visit, shared
        self._figures: dict[tuple[str, str], ui.label] = {}
        self._place = ui.element("div")
        self._view = view
        self._build()
        visit.on_change(self._refresh)
        ui.timer(LOOK_S, self._refresh)

    async def _refresh(self) -> None:
        view = await self._shared.view()
        if _shape(view) != _shape(self._view):
            self._view = view
            self._place.clear()
            self._build()
            return
        for rule in view.rules:
            for name, text in _figures(rule, self._visit.words).items():
                label = self._figures[rule.id, name]
                if label.text != text:
                    label.text = text

    def _build(self) -> None:
        say, view = self._visit.words.say, self._view
        self._figures.clear()
        with self._place:
            if view.refused:
                _refused(view.refused, self._visit.words)
            ui.label(
                say("In force since {time}, version {version}.", time=self._visit.time(view.since),
                    version=view.version[:12])
            ).classes("s-quiet")  # fmt: skip
            columns = [
                say("Rule"), say("What has happened"), say("Sensor"), say("State"),
                say("Open incidents"), say("Filed in {days} days", days=str(RECENT_DAYS)),
                say("Tests"), say("File"),
            ]  # fmt: skip
            order = sorted(view.rules, key=lambda rule: (rule.sensor, rule.id))
            table(say("Rules"), columns, [self._row(rule) for rule in order])
            heading(say("Rule files"))
            self._files()

    def _row(self, rule: RuleLine) -> list[Cell]:
        return [
            lambda: ui.link(rule.id, rule_path(rule.id)),
            rule.title,
            rule.sensor,
            lambda: state_chip(rule.state, self._visit.words),
            lambda: self._open(rule),
            lambda: self._figure(rule, "filed"),
            str(rule.tests),
            lambda: ui.link(f"{_short(rule.file)}:{rule.line}", edit_path(rule.file, rule.line)),
        ]

    def _open(self, rule: RuleLine) -> None:
        with ui.link(target=f"/incidents?rule={quote(rule.id, safe='')}"):
            self._figure(rule, "open")

    def _figure(self, rule: RuleLine, name: str) -> None:
        self._figures[rule.id, name] = ui.label(_figures(rule, self._visit.words)[name])

    def _files(self) -> None:
        say = self._visit.words.say
        columns = [say("File"), say("Whose"), say("Rules"), say("On the disk")]
        files = self._view.files
        table(say("Rule files"), columns, [self._file_row(file) for file in files])
        if not any(file.own for file in files):
            none = say(
                "There are no rule files of your own: name a folder for them under [rules] files."
            )
            ui.label(none).classes("s-text")
        if any(file.differs for file in files) and may(self._visit.person, Deed.RELOAD):
            ui.button(say("Put the files in force"), on_click=partial(reload, self._visit))

    def _file_row(self, file: FileLine) -> list[Cell]:
        say = self._visit.words.say
        differs: Cell = say("as in force")
        if file.differs:
            differs = lambda: chip(say("other than in force"), "warn")  # noqa: E731
        return [
            lambda: ui.link(file.file, edit_path(file.file)),
            say("yours") if file.own else say("comes with sense311"),
            str(len(file.rules)),
            differs,
        ]


def reload(visit: Visit) -> None:
    """Asks why, and has the gateway take up the files."""
    say = visit.words.say
    explanation = say(
        "The gateway reads its rules and assets again. With one error in them nothing changes."
    )

    question = Question(Deed.RELOAD, say("Put the files in force"), explanation)
    ask(visit, question, lambda person, _said, why: visit.console.deeds.reload(person, why))


def _shape(view: RulesView) -> object:
    """What the page is built of, without the figures."""
    bare = {"open": 0, "filed": 0, "would_file": 0}
    return view.model_copy(update={"rules": [rule.model_copy(update=bare) for rule in view.rules]})


def _figures(rule: RuleLine, words: Phrases) -> dict[str, str]:
    would = words.say("none; would be {count}", count=str(rule.would_file))
    filed = would if rule.state == "shadow" else str(rule.filed)
    return {"open": str(rule.open), "filed": filed}


def _refused(findings: list[FoundFault], words: Phrases) -> None:
    with ui.element("div").classes("s-state s-state-red"):
        ui.label(words.say("The last reload was refused: the rules from before are in force."))
        with ui.element("ul").classes("s-list"):
            for finding in findings:
                with ui.element("li"):
                    ui.link(finding_text(finding), edit_path(finding.file, finding.line))


def _short(file: str) -> str:
    return file.rpartition("/")[2]
