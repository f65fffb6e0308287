"""Sends a run's spans to a collector: OTLP/HTTP with JSON, which every collector takes."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from matrix.cli.report_command import loaded
from matrix.errors import HostError, UsageError
from matrix.results.json_text import json_bytes
from matrix.results.printable import printable
from matrix.results.spans import span_requests

PLACE = "/v1/traces"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
"""The variable of OpenTelemetry's exporters: ``name=value,…``, percent-encoded."""
SECONDS = 30.0
"""Until a collector has answered a request."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows none: urllib asks the new place with GET, without the spans, and what answers there,
    a login page perhaps, has taken nothing (urllib.request of Python 3.11 to 3.14)."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_Redirects)


def run_send(runs: Sequence[Path], url: str) -> None:
    """Send the spans of a run, and print how many.

    Raises:
        UsageError: no URL of HTTP, no run directory, or several.
        HostError: the collector cannot be reached, or does not take them.
    """
    if len(runs) > 1:
        raise UsageError(f"--send: one run at a time, and {len(runs)} are given")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"--send {printable(url)}: give a URL, as in http://localhost:4318")
    if "@" in parts.netloc:  # not shown: it may hold a password
        raise UsageError(f"--send: credentials go in {HEADERS}, as in authorization=Bearer%20TOKEN")
    place = url if parts.path.endswith(PLACE) else url.rstrip("/") + PLACE
    sent = 0
    for request in span_requests(loaded(runs[0])):
        _post(place, json_bytes(request, nonfinite="null"))
        sent += len(request["resourceSpans"][0]["scopeSpans"][0]["spans"])
    print(f"{sent:,} spans sent to {printable(place)}")


def _post(place: str, data: bytes) -> None:
    headers = {"Content-Type": "application/json", **_headers()}
    request = urllib.request.Request(place, data, headers)  # noqa: S310 - its scheme is checked
    try:
        with _OPENER.open(request, timeout=SECONDS) as answer:
            said = json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise HostError(f"{printable(place)} answers {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise HostError(f"cannot send to {printable(place)}: {printable(str(why))}") from None
    partial = said.get("partialSuccess") if isinstance(said, dict) else None
    if partial and int(partial.get("rejectedSpans") or 0):
        why = printable(str(partial.get("errorMessage", "")))
        raise HostError(f"{printable(place)} rejects {partial['rejectedSpans']} spans: {why}")


def _headers() -> dict[str, str]:
    pairs = (each.partition("=") for each in os.environ.get(HEADERS, "").split(",") if each.strip())
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in pairs}
