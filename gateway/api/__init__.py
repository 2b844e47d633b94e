"""The HTTP interface for programs: the data of the pages and the deeds of people, under /api/v1."""

from gateway.api.interface import build

__all__ = ["build"]
