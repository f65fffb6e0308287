"""The browser that the report's tests have, for the manual."""

from tests.report.conftest import browser, reader

__all__ = ["browser", "reader"]
