"""JSON Schema for rule files: what editors complete, check and explain.

Made of the tables that the loader itself reads: keys, fields and units, functions, templates with
their inputs. It is draft 7, which the language servers for YAML know best. It is looser than the
loader where text is concerned: what a condition means is for `rules check`.
"""

from collections.abc import Mapping
from typing import Any

from rules.builder import SCOPES
from rules.fields import ATTRIBUTES, HEARD, REPORTED_KINDS, Field
from rules.keys import KEYS, Key
from rules.manual import catalogue
from rules.rule import MODES
from rules.templates import Input, Template
from rules.units import UNITS

Schema = dict[str, Any]
DRAFT = "http://json-schema.org/draft-07/schema#"
_LITERAL: Schema = {"type": ["string", "number", "boolean"]}
_WORDS: Schema = {"type": "array", "items": {"type": "string"}}
_SHAPES: Mapping[str, Schema] = {
    "text": {"type": ["string", "number"]},
    "condition": {"type": ["string", "boolean"]},
    "duration": {"type": ["string", "number"]},
    "number": {"type": ["integer", "string"]},
    "truth": {"type": ["boolean", "string"]},
    "literal": _LITERAL,
    "words": _WORDS,
    "text or words": {"anyOf": [{"type": "string"}, _WORDS]},
    "lets": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
    "params": {"type": "object", "additionalProperties": {"$ref": "#/definitions/param"}},
    "inputs": {"type": "object", "additionalProperties": {"$ref": "#/definitions/input"}},
    "body": {"$ref": "#/definitions/body"},
    "with": {"type": "object"},
    "attributes": {"type": "object"},
    "feed": {"type": ["object", "array"]},
}
_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("rule file", "apiVersion"): ("sense311/v1",),
    ("template file", "apiVersion"): ("sense311/v1",),
    ("rule file", "sensor"): REPORTED_KINDS,
    ("rule", "mode"): MODES,
    ("rule", "scope"): SCOPES,
    ("use", "mode"): MODES,
}
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "rule file": ("apiVersion", "sensor", "rules"),
    "template file": ("template", "doc", "rule"),
    "param": ("default",),
    "input": ("type",),
    "rule": ("id", "title", "when"),
    "use": ("use",),
    "file": ("service", "description"),
    "test": ("name", "expect"),
}


_ONLY_PLACES: Schema = {
    "if": {"anyOf": [{"required": ["hit"]}, {"required": ["place"]}]},
    "then": {"required": ["scope"], "properties": {"scope": {"const": "place"}}},
}


def schema(templates: Mapping[str, Template]) -> Schema:
    """The schema of rule files and of template files."""
    objects = {what: _object(what) for what in KEYS}
    objects["rule"]["properties"]["file"] = _described(objects["file"], KEYS["rule"]["file"])
    part = dict(objects["file"], required=[])
    objects["use"]["properties"]["file"] = _described(part, KEYS["use"]["file"])
    objects["rule"]["allOf"] = [_ONLY_PLACES]
    objects["use"] |= _uses(templates, objects["use"])
    body = dict(objects["rule"], required=["title", "when"])
    return {
        "$schema": DRAFT,
        "title": "sense311 rule file",
        "definitions": {
            **objects,
            "body": body,
            "item": _either("use", "use", "rule"),
        },
        **_either("template", "template file", "rule file"),
        "allOf": [_of_sensor(kind) for kind in REPORTED_KINDS],
    }


def _either(key: str, with_it: str, without: str) -> Schema:
    return {
        "if": {"required": [key]},
        "then": {"$ref": f"#/definitions/{with_it}"},
        "else": {"$ref": f"#/definitions/{without}"},
    }


def _object(what: str) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(_NEEDED.get(what, ())),
        "properties": {name: _property(what, name, key) for name, key in KEYS[what].items()},
    }


def _property(what: str, name: str, key: Key) -> Schema:
    found = dict(_shape(key.shape))
    if choices := _CHOICES.get((what, name)):
        found = {"enum": list(choices)}
    if key.example:
        found["examples"] = [key.example]
    if key.shape == "condition":
        return found | {"description": key.doc, "markdownDescription": _condition_help(key.doc)}
    if key.shape == "duration":
        return found | {"description": f"{key.doc} In ms, s, min, h or d."}
    return _described(found, key)


def _shape(shape: str) -> Schema:
    if shape.startswith("list of "):
        name = shape.removeprefix("list of ")
        return {"type": "array", "items": _shape("item" if name == "rule" else name)}
    return dict(_SHAPES.get(shape, {"$ref": f"#/definitions/{shape}"}))


def _described(found: Schema, key: Key) -> Schema:
    if "$ref" in found:  # draft 7 reads nothing beside a reference
        found = {"allOf": [found]}
    return found | {"description": key.doc}


# -- templates ------------------------------------------------------------------------------------


def _uses(templates: Mapping[str, Template], use: Schema) -> Schema:
    names = sorted(templates)
    use["properties"]["use"] |= {
        "enum": names,
        "markdownEnumDescriptions": [templates[name].doc for name in names],
    }
    return {"allOf": [_given_template(templates[name]) for name in names]}


def _given_template(template: Template) -> Schema:
    inputs = {name: _given_input(item) for name, item in template.inputs.items()}
    must = [name for name, item in template.inputs.items() if item.default is None]
    given = {
        "description": f"The inputs of {template.name}. {template.doc}",
        "additionalProperties": False,
        "required": must,
        "properties": inputs,
    }
    then: Schema = {"properties": {"with": given}}
    return {
        "if": {"properties": {"use": {"const": template.name}}},
        "then": then | ({"required": ["with"]} if must else {}),
    }


def _given_input(item: Input) -> Schema:
    lines = [f"{item.doc} ({item.type})."]
    if item.ends:
        lines.append(f"From {item.ends[0].text} to {item.ends[1].text}.")
    if item.source:
        lines.append(f"Source of the default: {item.source}.")
    found: Schema = dict(_LITERAL) | {"description": " ".join(lines)}
    if item.default is not None:
        found["default"] = item.default.text
    if item.example:
        found["examples"] = [item.example]
    return found


# -- what a sensor has ----------------------------------------------------------------------------


def _of_sensor(kind: str) -> Schema:
    """Fields to feed in tests and to name in conditions."""
    fields = HEARD[kind].values()
    feed = {item.name: _LITERAL_FEED | {"description": field_help(item)} for item in fields}
    feed |= {name: _LITERAL_FEED | {"description": doc} for name, doc in _BESIDE_FIELDS.items()}
    table = "\n".join(f"- `{item.name}`: {field_help(item)}" for item in fields)
    test = {"properties": {"feed": {"properties": feed}}}
    rule: Schema = {
        key: {"markdownDescription": f"{_condition_help(KEYS['rule'][key].doc)}\n\n{table}"}
        for key in ("when", "unless", "hit")
    }
    rule["tests"] = {"items": test}
    return {
        "if": {"properties": {"sensor": {"const": kind}}, "required": ["sensor"]},
        "then": {"properties": {"rules": {"items": {"properties": rule}}}},
    }


_LITERAL_FEED: Schema = {"type": ["string", "number", "boolean", "array"]}
_BESIDE_FIELDS: Mapping[str, str] = {
    "faults": (
        'What the device itself says is wrong: "none x3, lamp_failure x4"; several at once with'
        " a + between them."
    ),
    "late": 'How much later each sample arrives: "0s x3, 20min x2".',
    "offset": "Scope place: how far north of the place each pass is: 4 m.",
}


def field_help(item: Field) -> str:
    """A field as people read it: its unit and range."""
    if item.is_bool:
        return "true or false"
    unit = "" if item.unit == "1" else f" {item.unit}"
    return f"{item.low:g} to {item.high:g}{unit}"


def _condition_help(doc: str) -> str:
    functions = "\n".join(f"- `{entry.signature}`: {entry.doc}" for entry in catalogue())
    units = ", ".join(f"`{symbol}`" for symbol in UNITS if symbol != "1")
    attributes = ", ".join(f"`asset.{item.name}`" for item in ATTRIBUTES.values())
    return f"{doc}\n\nUnits: {units}\n\nAttributes: {attributes}\n\n{functions}"
