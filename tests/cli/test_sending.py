"""``matrix report --format otlp --send``, to a small collector."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from matrix.cli.sending import run_send
from matrix.errors import HostError, UsageError
from matrix.results.recorder import Recorder
from tests import make


class Collector:
    """Keeps what it gets, and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], Any]] = []
        self.status = 200
        self.answer: dict[str, Any] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.got.append((self.path, headers, json.loads(body)))
                self.send_response(outer.status)
                if outer.status == HTTPStatus.FOUND:
                    self.send_header("Location", "/login")
                self.end_headers()
                self.wfile.write(json.dumps(outer.answer).encode())

            def do_GET(self) -> None:
                self.send_response(HTTPStatus.OK)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    with made.server:
        Thread(target=made.server.serve_forever, daemon=True).start()
        yield made
        made.server.shutdown()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with Recorder.start(tmp_path / "run", make.info(), [make.run()]) as recorder:
        recorder.begin(make.case(), 1)
        recorder.finish(make.case(), make.attempt())
        recorder.end()
    return tmp_path / "run"


def test_a_collector_gets_them(
    run: Path,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,team=kvm")
    run_send([run], f"{collector.url}/")
    ((path, headers, body),) = collector.got
    assert path == "/v1/traces"
    assert headers["content-type"] == "application/json"
    assert (headers["authorization"], headers["team"]) == ("Bearer x", "kvm")
    spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [each["name"] for each in spans] == ["smoke", make.case().id, "attempt 1"]
    assert capsys.readouterr().out == f"3 spans sent to {collector.url}/v1/traces\n"


def test_what_a_collector_refuses_is_said(run: Path, collector: Collector) -> None:
    collector.answer = {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too \x07 old"}}
    with pytest.raises(HostError, match=r"rejects 2 spans: too \\x07 old"):
        run_send([run], f"{collector.url}/v1/traces")
    collector.status = 401
    with pytest.raises(HostError, match="/v1/traces answers 401 Unauthorized"):
        run_send([run], collector.url)


def test_a_login_page_has_taken_no_spans(run: Path, collector: Collector) -> None:
    collector.status = HTTPStatus.FOUND
    with pytest.raises(HostError, match="/v1/traces answers 302 Found"):
        run_send([run], collector.url)


def test_a_password_in_the_url_is_neither_used_nor_shown(run: Path) -> None:
    with pytest.raises(UsageError, match="credentials go in OTEL_EXPORTER_OTLP_HEADERS") as caught:
        run_send([run], "http://me:secret@localhost:4318")
    assert "secret" not in str(caught.value)


def test_without_a_collector(run: Path, collector: Collector) -> None:
    collector.server.shutdown()
    collector.server.server_close()
    with pytest.raises(HostError, match=r"cannot send to http://127.* refused"):
        run_send([run], collector.url)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "localhost:4318", "http://"])
def test_what_is_no_url_of_a_collector(run: Path, url: str) -> None:
    with pytest.raises(UsageError, match="give a URL, as in http://localhost:4318"):
        run_send([run], url)
