#!/usr/bin/env bash
# prometheus_client 0.26.0 (PyPI): its parser of the text format that Prometheus reads gives the samples of a
# counter another name than they have: "foo 1" of "# TYPE foo counter" is a sample "foo_total", as OpenMetrics
# would have it, where Prometheus stores "foo". The same line without its TYPE, or of a gauge, keeps its name.
# So a check of what an exporter serves finds a series that no query can find, and misses the one that is there:
#
#   # TYPE foo counter, foo 1                foo_total
#   # TYPE foo_total counter, foo_total 1    foo_total
#   # TYPE foo gauge, foo 1                  foo
#   foo 1                                    foo
#
# Makes a virtual environment in a temporary folder and fails if a line is another.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install prometheus_client==0.26.0
"$work/venv/bin/python" - <<'PYTHON'
import sys

from prometheus_client.parser import text_string_to_metric_families

expected = {
    "# TYPE foo counter\nfoo 1\n": "foo_total",
    "# TYPE foo_total counter\nfoo_total 1\n": "foo_total",
    "# TYPE foo gauge\nfoo 1\n": "foo",
    "foo 1\n": "foo",
}
found = {}
for text in expected:
    ((sample,),) = [family.samples for family in text_string_to_metric_families(text)]
    found[text] = sample.name
    print(f"{text!r:45}", sample.name)
sys.exit(found != expected)
PYTHON
