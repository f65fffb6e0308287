"""``matrix doctor``: takes the whole inventory and shows it, and which settings come from where."""

import asyncio
import json as json_module
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from matrix.cli.doctor import doctor_json, doctor_text
from matrix.cli.steps import Steps
from matrix.hosts.host_settings import HostFile
from matrix.hosts.installations import Installation, installations
from matrix.hosts.kvm_features import read_features
from matrix.hosts.project import load_settings
from matrix.hosts.survey import take_inventory
from matrix.hosts.wanted import everything
from matrix.results.printable import shown_json
from matrix.run.options import Selection


def run_doctor(selection: Selection, *, json: bool) -> None:
    """Print what this host can run; whatever is missing is part of the answer, not an error."""
    settings = load_settings(selection.host)
    installed = installations(selection.qemu, settings)
    wanted = everything(installed)
    inventory = asyncio.run(
        take_inventory(installed, wanted, fresh=selection.fresh, on_step=Steps())
    )
    known = list(settings_rows(settings, installed))
    if json:
        keys = ("name", "value", "from")
        answer = doctor_json(inventory, read_features(inventory.host))
        answer["settings"] = [dict(zip(keys, each, strict=True)) for each in known]
        print(shown_json(json_module.dumps(answer, indent=2)))
        return
    parts: list[RenderableType] = [doctor_text(inventory)]
    if known:
        parts += [Text(), settings_table(known)]
    Console(highlight=False).print(Group(*parts))


def settings_rows(
    settings: HostFile, installed: Sequence[Installation]
) -> Iterator[tuple[str, str, str]]:
    """Name, value and origin of all that was not left as it is without files and options."""
    for name, value in settings.defaults.items():
        text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        yield name, text.lower() if isinstance(value, bool) else text, _origin(settings, name)
    of_files = dict(settings.qemu)
    for each in installed:
        if each.directory is not None:
            given = of_files.get(each.name) != each.directory
            origin = "--qemu" if given else _origin(settings, f"qemu.{each.name}")
            yield f"qemu.{each.name}", str(each.directory), origin
    for architecture, folder in settings.builds:
        name = f"builds.{architecture.value}"
        yield name, str(folder), _origin(settings, name)


def _origin(settings: HostFile, name: str) -> str:
    return str(settings.places[name])


def settings_table(known: Sequence[tuple[str, str, str]]) -> Table:
    """The rows for people."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("Setting", no_wrap=True)
    table.add_column("Value", overflow="fold")
    table.add_column("From", overflow="fold")
    home = str(Path.home()) if os.environ.get("HOME") else ""
    for name, value, origin in known:
        short = f"~{origin[len(home) :]}" if home and origin.startswith(f"{home}/") else origin
        table.add_row(name, Text(value), Text(short))
    return table
