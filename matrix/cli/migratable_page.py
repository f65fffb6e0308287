"""``matrix migratable --html``: the answers as one small page without scripts.

What QEMU said reaches it as text that Jinja2 escapes.
"""

from collections.abc import Sequence
from itertools import groupby, zip_longest

from jinja2 import Environment, StrictUndefined

from matrix import __version__
from matrix.cli.proving import Proof
from matrix.migratable.prediction import Prediction
from matrix.model import Accelerator
from matrix.results.printable import printable

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="generator" content="qemu-matrix {{ version }}">
<meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark }
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }
table { border-collapse: collapse; width: 100% }
th, td { border-top: 1px solid #8886; padding: .3em .6em; text-align: left; vertical-align: top }
td:last-child { overflow-wrap: anywhere }
.yes, .no, .perhaps, .wrong { font-weight: 600 }
.yes { color: light-dark(#17652b, #6fd08c) }
.no, .wrong { color: light-dark(#a3191f, #ff8f8f) }
.perhaps { color: light-dark(#7a5200, #f0c060) }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ summary }}</p>
<table>
<thead><tr><th>guest<th>from → to<th>answer<th>why, and the evidence</tr></thead>
{% for guest, rows in groups %}<tbody>
{% for row, proof in rows %}<tr>
{% if loop.first %}<th scope="rowgroup" rowspan="{{ rows | length }}">{{ guest }}</th>
{% endif %}<td>{{ row.source }} → {{ row.destination }}
<td class="{{ row.answer.value }}">{{ row.answer.value }}
<td>{{ row.reason | printable }}
{% if proof %}<p{% if proof.contradicts(row) %} class="wrong"{% endif %}>{{ told(proof) }}</p>
{% endif %}{% if row.evidence %}<details><summary>evidence</summary><ul>
{% for text in row.evidence %}<li>{{ text | printable }}
{% endfor %}</ul></details>
{% endif %}</tr>
{% endfor %}</tbody>
{% endfor %}</table>
</body>
</html>
"""


def page(predictions: Sequence[Prediction], proofs: Sequence[Proof], summary: str) -> str:
    """The page; ``proofs`` are as many as the predictions, or none, ``summary`` is its first
    line."""
    environment = Environment(
        autoescape=True, trim_blocks=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["printable"] = printable
    rows = zip_longest(predictions, proofs)
    groups = [list(group) for _, group in groupby(rows, lambda row: row[0].guest)]
    sides = sorted({name for each in predictions for name in (each.source, each.destination)})
    return environment.from_string(PAGE).render(
        version=__version__,
        title=f"Which guests may migrate: {', '.join(sides)}",
        summary=summary,
        groups=[(guest_text(rows[0][0]), rows) for rows in groups],
        told=_told,
    )


def guest_text(prediction: Prediction) -> str:
    """The guest in one line: architecture, machine and CPU, and KVM where it is not TCG."""
    guest = prediction.guest
    kvm = "KVM" if prediction.accelerator is Accelerator.KVM else ""
    return "  ".join(filter(None, (guest.architecture.value, guest.machine, prediction.cpu, kvm)))


def _told(proof: Proof) -> str:
    """What the hop came to, in words."""
    went = {True: "a hop went", False: "a hop did not go", None: "no hop was made"}[proof.gone]
    return ": ".join(filter(None, (went, printable(proof.reason))))
