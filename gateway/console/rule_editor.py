"""The editor of rule files: checked as it is typed, tested, run over history, compared, saved.

What is typed is a text and nothing more until it is saved; saving asks why, goes through `deeds`,
and never over what somebody else has saved meanwhile. A file that comes with sense311 can be tried
and not saved.
"""

import asyncio
import json
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.console.asking import Question, ask
from gateway.console.backtesting import Ask, Panel
from gateway.console.frame import Console, Visit
from gateway.console.parts import chip, heading
from gateway.console.rule_compare import compare
from gateway.console.rule_parts import Running, part
from gateway.console.rule_tests import run_tests
from gateway.console.rules import HERE, reload
from gateway.staff.deed import Code, Deed, Outcome, may
from gateway.staff.rule_files import hash_of
from gateway.views.rule_sheets import Sheet, draft_of, sheet_of
from gateway.views.workbench import Checked, FoundFault, check_text, edited, shown

PAUSE_S = 0.25
"""Of typing, before the text is checked."""
INLINE_CHARS_MAX = 90
NOTES_MAX = 100
_SCRIPT = Path(__file__).with_name("rule_editor.js").read_text("utf-8")
_THEMES = {"light": "githubLight", "dark": "githubDark"}
_HELP_ID = "rule-editor-help"


def add_to(console: Console) -> None:
    @console.page("/rules/edit")
    async def edit(visit: Visit) -> None:
        sheet = await asyncio.to_thread(_sheet, visit)
        if sheet is None:
            with visit.frame(visit.words.say("There is no such rule file"), here=HERE):
                ui.link(visit.words.say("All rules"), HERE)
            return
        with visit.frame(sheet.file.rpartition("/")[2], here=HERE):
            editor = Editor(visit, sheet)
        await visit.client.connected()
        await editor.begin(_number(visit.query.get("line", "")))


def _sheet(visit: Visit) -> Sheet | None:
    """Only names that the configuration knows are opened."""
    copy = visit.query.get("copy", "")
    return (
        draft_of(visit.books, copy) if copy else sheet_of(visit.books, visit.query.get("file", ""))
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


class Editor:
    """One text in one browser."""

    def __init__(self, visit: Visit, sheet: Sheet) -> None:
        self._visit, self._sheet = visit, sheet
        self._saved = sheet.text
        self._sha256 = sheet.sha256
        self._crlf = sheet.crlf
        self._checking: asyncio.Task[None] | None = None
        self._running = Running(visit)
        self._may_save = sheet.own and not sheet.problem and may(visit.person, Deed.SAVE_RULE)
        self._may_type = may(visit.person, Deed.SAVE_RULE) and sheet.problem != "not_utf8"
        self._head()
        self._code = self._field()
        self._actions()
        visit.client.on_delete(self._stop)

    @property
    def text(self) -> str:
        return self._code.value or ""

    async def begin(self, line: int) -> None:
        """Once it stands in the browser."""
        say = self._visit.words.say
        name = say("Rule file {file}", file=self._sheet.file)
        await self._script("name", self._code.id, name, _HELP_ID, _THEMES)
        await self._check()
        if line:
            await self.go(line)

    async def go(self, line: int, column: int = 1) -> None:
        await self._script("go", self._code.id, line, column)

    # -- what it looks like -------------------------------------------------------------------

    def _head(self) -> None:
        say, sheet = self._visit.words.say, self._sheet
        ui.label(sheet.file).classes("s-code s-quiet")
        problems = {
            "not_utf8": say("It is not in UTF-8; mend it with another editor."),
            "gone": say("The file is not on the disk any more; this is the text that is in force."),
            "not_named": say("The configuration does not name this file any more."),
        }
        if sheet.draft_of:
            text = say(
                "A copy of {rule} as a rule of your own, in shadow: beside {rule} it records what "
                "that one does not file. When it has proved itself, promote it and leave the other "
                "one out with [rules] disable.", rule=sheet.draft_of,
            )  # fmt: skip
            ui.label(text).classes("s-text")
            if sheet.problem:
                text = say("To save it here, name a folder under [rules] files; or download it.")
                ui.label(text).classes("s-text")
        elif sheet.problem:
            ui.label(problems[sheet.problem]).classes("s-state s-state-amber")
        elif not sheet.own:
            text = say("It comes with sense311: changes can be tried here and are never saved.")
            ui.label(text).classes("s-text")
        elif not self._may_type:
            ui.label(say("To change it takes the role of an administrator.")).classes("s-text")
        if sheet.own and sheet.differs and not sheet.draft_of:
            with ui.element("div").classes("s-row"):
                chip(say("other than in force"), "warn")
                ui.label(say("What lies on the disk is not what the gateway has in force."))
                if may(self._visit.person, Deed.RELOAD):
                    button = ui.button(say("Put the files in force"))
                    button.on_click(partial(reload, self._visit)).props("flat dense")

    def _field(self) -> ui.codemirror:
        say = self._visit.words.say
        with ui.element("div").classes("s-editor-page"):
            with ui.element("div"):
                field = ui.codemirror(
                    self._sheet.text, language="YAML", theme="githubLight", indent="  ",
                    line_wrapping=True, on_change=self._typed,
                ).classes("s-editor")  # fmt: skip
                if not self._may_type:
                    field.disable()
                help_ = ui.label(
                    say("Tab indents. To leave the editor with the keyboard: Escape, then Tab.")
                ).classes("s-quiet")
                help_.props["id"] = _HELP_ID
            with ui.element("div"):
                heading(say("Findings"))
                self._summary = ui.label(say("Being checked…")).props('role="status"')
                self._list = ui.element("div").classes("s-findings")
        return field

    def _actions(self) -> None:
        say = self._visit.words.say
        with ui.element("div").classes("s-row"):
            ui.button(say("Run the tests"), on_click=self._test)
            ui.button(say("Compare with what is in force"), on_click=self._compare).props("outline")
            if self._may_save:
                ui.button(say("Save and put in force"), on_click=self._save)
            if self._may_type:
                ui.button(say("Undo all changes"), on_click=self._undo).props("flat")
                ui.button(say("Download"), on_click=self._download).props("flat")
        self._place = ui.element("div")
        with part(say("Backtest")):
            Panel(self._visit, self._ask, compares=True)

    # -- checked as it is typed ---------------------------------------------------------------

    def _typed(self) -> None:
        self._stop()
        self._checking = asyncio.create_task(self._check_soon())

    async def _check_soon(self) -> None:
        await asyncio.sleep(PAUSE_S)
        await self._check()

    async def _check(self) -> None:
        text = self.text
        sheet = self._sheet
        found = await asyncio.to_thread(
            check_text, self._visit.books, sheet.file, text, sheet.draft_of
        )
        if text == self.text:  # else it is checked again soon
            self._tell(found)
            await self._mark(text, found.findings)
            await self._script("guard", self._may_save and text != self._saved)

    def _tell(self, found: Checked) -> None:
        say = self._visit.words.say
        errors = sum(finding.error for finding in found.findings)
        warnings = len(found.findings) - errors
        counts = {"errors": str(errors), "warnings": str(warnings)}
        told = say("Errors: {errors}, warnings: {warnings}.", **counts)
        self._summary.text = told if found.findings else say("Nothing is wrong with it.")
        self._list.clear()
        with self._list:
            for finding in found.findings:
                self._finding(finding)

    def _finding(self, finding: FoundFault) -> None:
        say = self._visit.words.say
        here = finding.file == self._sheet.file
        kind = say("Error {code}", code=finding.code)
        if not finding.error:
            kind = say("Warning {code}", code=finding.code)
        place = {"line": str(finding.line), "column": str(finding.column)}
        where = say("line {line}, column {column}", **place)
        if not here:
            where = say("in {file}, line {line}", file=finding.file, line=place["line"])
        button = ui.element("button").classes("s-finding").props('type="button"')
        button.classes("s-finding-error" if finding.error else "")
        with button:
            TextElement(tag="span", text=f"{kind} · {where}").classes("s-quiet")
            TextElement(tag="span", text=finding.message)
            if finding.help:
                TextElement(tag="span", text=finding.help).classes("s-quiet")
        if here:
            button.on("click", lambda: self.go(finding.line, finding.column))
        else:
            button.props["disabled"] = True

    async def _mark(self, text: str, findings: list[FoundFault]) -> None:
        here = [finding for finding in findings if finding.file == self._sheet.file][:NOTES_MAX]
        length = len(text.encode("utf-16-le", "surrogatepass")) // 2
        await self._script("mark", self._code.id, length, marks(text, here), notes(here))

    async def _script(self, name: str, *values: Any) -> None:
        """A function of rule_editor.js. The values are data, whatever stands in them."""
        if not self._visit.client.has_socket_connection:
            return
        told = ", ".join(json.dumps(value) for value in values)
        with self._visit.client.content:
            ui.run_javascript(f"(window.ruleEditor ??= {_SCRIPT}).{name}({told})")

    def _stop(self) -> None:
        if self._checking is not None:
            self._checking.cancel()

    # -- what is done with it -----------------------------------------------------------------

    async def _test(self) -> None:
        sheet = self._sheet
        await run_tests(
            self._visit, self._running, self._place, sheet.file, self.text, self.go, sheet.draft_of
        )

    async def _compare(self) -> None:
        sheet = self._sheet
        await compare(self._visit, self._place, sheet.file, self.text, sheet.draft_of)

    def _ask(self) -> Ask:
        sheet = self._sheet
        return Ask(sheet.file, edited(self._visit.books, sheet.file, self.text, sheet.draft_of))

    def _undo(self) -> None:
        self._code.set_value(self._saved)

    def _download(self) -> None:
        name = self._sheet.file.rpartition("/")[2]
        ui.download.content(self.text, name, "application/yaml")

    def _save(self) -> None:
        say = self._visit.words.say
        explanation = say(
            "{file} is written and the gateway reads its rules again. With one error in them "
            "nothing changes.", file=self._sheet.file,
        )  # fmt: skip
        plain = self.text
        text = plain.replace("\n", "\r\n") if self._crlf else plain
        file, deeds = self._sheet.file, self._visit.console.deeds
        ask(
            self._visit,
            Question(Deed.SAVE_RULE, say("Save and put in force"), explanation),
            lambda who, _said, why: deeds.save_rule(who, file, text, self._sha256, why),
            lambda outcome: self._saved_as(plain, text, outcome),
        )

    async def _saved_as(self, plain: str, text: str, outcome: Outcome) -> None:
        if outcome.findings:
            self._list.clear()
            with self._list:
                for finding in outcome.findings:
                    self._finding(shown(finding))
        if outcome.code in (Code.DONE, Code.WAITING, Code.REFUSED):  # it lies on the disk
            self._saved, self._sha256 = plain, hash_of(text)
            await self._script("guard", False)


def marks(text: str, findings: list[FoundFault]) -> list[dict[str, Any]]:
    """Decorations of CodeMirror: the line, the characters, and at its end what is wrong with it.
    Offsets are those of Python.
    """
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    found: list[dict[str, Any]] = []
    for number, some in groupby(sorted(findings, key=lambda one: one.line), lambda one: one.line):
        if number > len(lines):
            continue
        of_line = sorted(some, key=lambda one: not one.error)
        tone = _tone(of_line[0])
        found.append({"kind": "line", "line": number, "class": f"s-line-{tone}"})
        start, length = starts[number - 1], len(lines[number - 1])
        for one in of_line:
            first, end = min(one.column - 1, length), min(one.end_column - 1, length)
            if first < end:
                span = {"from": start + first, "to": start + end}
                found.append({"kind": "mark", **span, "class": f"s-mark-{_tone(one)}"})
        said = f"{of_line[0].code}: {of_line[0].message}"
        said = said if len(said) <= INLINE_CHARS_MAX else said[: INLINE_CHARS_MAX - 1] + "…"
        found.append(
            {"kind": "widget", "position": start + length, "text": said,
             "class": f"s-inline s-inline-{tone}"}
        )  # fmt: skip
    return found


def notes(findings: list[FoundFault]) -> dict[int, str]:
    """Line -> all that is said of it, for its tooltip."""
    told: dict[int, str] = {}
    for one in findings:
        said = f"{one.code}: {one.message}" + (f"\n{one.help}" if one.help else "")
        told[one.line] = f"{told[one.line]}\n{said}" if one.line in told else said
    return told


def _tone(finding: FoundFault) -> str:
    return "error" if finding.error else "warning"
