"""``matrix doctor``: takes the whole inventory and shows it."""

import asyncio
import json as json_module

from rich.console import Console

from matrix.cli.doctor import doctor_json, doctor_text
from matrix.cli.steps import Steps
from matrix.hosts.hostfile import load_host_file
from matrix.hosts.installations import installations
from matrix.hosts.survey import take_inventory
from matrix.hosts.wanted import everything
from matrix.results.printable import shown_json
from matrix.run.options import Selection


def run_doctor(selection: Selection, *, json: bool) -> None:
    """Print what this host can run; whatever is missing is part of the answer, not an error."""
    installed = installations(selection.qemu, load_host_file(selection.host))
    wanted = everything(installed)
    inventory = asyncio.run(
        take_inventory(installed, wanted, fresh=selection.fresh, on_step=Steps())
    )
    if json:
        print(shown_json(json_module.dumps(doctor_json(inventory), indent=2)))
    else:
        Console(highlight=False).print(doctor_text(inventory))
