"""A service: one kind of request the simulated desk takes, and the attributes it may carry.

The table is data (`services.toml`), read once at start. A table that cannot be used is
refused as a whole with the place and the reason; nothing is guessed. Never looks at requests.
"""

import tomllib
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class ServicesRefusedError(ValueError):
    """A table of services that cannot be used; the message tells where and why."""


class ServiceType(StrEnum):
    REALTIME = "realtime"  # answers an id at once
    BATCH = "batch"  # answers a token; the id comes later
    BLACKBOX = "blackbox"  # answers neither, and never lists the request


class Datatype(StrEnum):
    STRING = "string"
    NUMBER = "number"
    DATETIME = "datetime"
    TEXT = "text"
    SINGLE = "singlevaluelist"
    MULTI = "multivaluelist"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(_Row):
    key: str
    name: str


class Attribute(_Row):
    """`variable` false is a text to show, never to send; `values` are the choices of a list."""

    code: str = Field(min_length=1)
    datatype: Datatype
    description: str
    required: bool = False
    variable: bool = True
    datatype_description: str = ""
    values: tuple[Choice, ...] = ()


class Service(_Row):
    code: str = Field(min_length=1, pattern=r"^[^/,]+$")  # a path segment and an item of a list
    name: str
    description: str = ""
    group: str = ""
    type: ServiceType = ServiceType.REALTIME
    keywords: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = Field(default=(), validation_alias="attribute")

    def attribute(self, code: str) -> Attribute | None:
        return next((known for known in self.attributes if known.code == code), None)


class _Table(_Row):
    attribute: tuple[Attribute, ...] = ()
    service: tuple[Service, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _codes_are_unique(self) -> Self:
        _refuse_twins("service", [row.code for row in self.service])
        for row in self.service:
            both = [known.code for known in (*self.attribute, *row.attributes)]
            _refuse_twins(f"attribute of {row.code}", both)
        return self


Services = dict[str, Service]


def read_services(path: Path | None = None) -> Services:
    """The table at `path`, or the built-in one, by service code in the table's order.

    Raises ServicesRefusedError for a file that cannot be read or used.
    """
    built_in = resources.files("simulators.desk").joinpath("services.toml")
    try:
        text = (path or built_in).read_text(encoding="utf-8")
        table = _Table.model_validate(tomllib.loads(text))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ServicesRefusedError(f"{path or 'services.toml'}: {error}") from error
    return {row.code: _with_shared(row, table.attribute) for row in table.service}


def _with_shared(service: Service, shared: tuple[Attribute, ...]) -> Service:
    return service.model_copy(update={"attributes": (*shared, *service.attributes)})


def _refuse_twins(what: str, codes: list[str]) -> None:
    twins = sorted({code for code in codes if codes.count(code) > 1})
    if twins:
        raise ValueError(f"{what} named twice: {', '.join(twins)}")
