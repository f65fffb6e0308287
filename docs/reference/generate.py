"""The pages of the manual that are made from the code: a hook of mkdocs.

The scenario format comes from its JSON Schema, the command line from the program itself, the
metrics from what is registered. A line ``::: NAME`` of a page is replaced by the table of that enum
or record. The trust model is SECURITY.md, which hosts of repositories look for at the top.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from prometheus_client import Metric

from docs.reference.tables import with_tables
from matrix.cli.main import app
from matrix.explore.exploration import Exploration
from matrix.explore.exploration_metrics import ExplorationMetrics
from matrix.hosts.fleet.fleet_file import fleet_schema
from matrix.run.metrics import Metrics
from matrix.scenario.expectations import expectations_schema
from matrix.scenario.schema import json_schema

Schema = Mapping[str, Any]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages (https://www.mkdocs.org/user-guide/plugins/#on_files)."""
    pages = {
        "scenario": _schema_page("Scenario files", json_schema()),
        "expectations": _schema_page("Files of known failures", expectations_schema()),
        "fleet": _schema_page("Fleet files", fleet_schema()),
        "command-line": _commands_page(),
        "metrics": _metrics_page(),
    }
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    trust = Path(config.config_file_path).with_name("SECURITY.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "explanation/trust.md", content=trust))
    return files


def on_page_markdown(text: str, **_: object) -> str:
    """Put the tables in that a page names."""
    return with_tables(text)


def _schema_page(title: str, schema: Schema) -> str:
    lines = [f"# {title}", "", *_section("", schema, schema)]
    return "\n".join(lines) + "\n"


def _section(path: str, section: Schema, root: Schema) -> Iterator[str]:
    """A mapping's keys as a table, then the mappings below it."""
    if path:
        yield f"## `{path}`"
        yield ""
    if text := section.get("description"):
        yield _joined(text)
        yield ""
    required = section.get("required", ())
    yield "| key | takes | |"
    yield "|---|---|---|"
    below: list[tuple[str, Schema]] = []
    for key, value in section.get("properties", {}).items():
        target = _resolved(value, root)
        items = _resolved(target.get("items", {}), root)
        named = target.get("additionalProperties") or {}
        if "$ref" in named:
            below.append((f"{path}.{key}.NAME".lstrip("."), _resolved(named, root)))
        elif "properties" in target:
            below.append((f"{path}.{key}".lstrip("."), target))
        elif "properties" in items:
            below.append((f"{path}.{key}[]".lstrip("."), items))
        text = _joined(str(value.get("description", target.get("description", ""))))
        must = "**Required.** " if key in required else ""
        yield f"| `{key}` | {_takes(target, items)} | {must}{_cell(text)} |"
    yield ""
    for name, child in below:
        yield from _section(name, child, root)


def _resolved(schema: Schema, root: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    return {**root["$defs"][reference.rpartition("/")[2]], **schema}


def _takes(value: Schema, items: Schema) -> str:
    if "enum" in value:
        return " ".join(f"`{each}`" for each in value["enum"])
    if "anyOf" in value:
        return " or ".join(
            dict.fromkeys(_takes(each, each.get("items", {})) for each in value["anyOf"])
        )
    kind = value.get("type", "")
    if kind == "array":
        inner = _takes(items, {}) if "properties" not in items else "mapping"
        return f"list of {inner}"
    if kind == "object":
        return "mapping"
    if isinstance(kind, list):
        kind = "text" if "string" in kind else " or ".join(kind)
    return {"string": "text", "boolean": "true or false"}.get(str(kind), str(kind))


def _commands_page() -> str:
    root = typer.main.get_command(app)
    lines = ["# Command line", "", root.help or "", ""]
    for name, command in sorted(getattr(root, "commands", {}).items()):
        if not command.hidden:
            lines += _command(name, command)
    return "\n".join(lines) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [
        param for param in command.params if param.param_type_name == "option" and not param.hidden
    ]
    words = " ".join(
        param.metavar if param.required else f"[{param.metavar}]" for param in arguments
    )
    yield f"## matrix {name}"
    yield ""
    yield f"    matrix {name} [OPTIONS] {words}".rstrip()
    yield ""
    yield textwrap.dedent(command.help or "").split("\f")[0].strip()
    yield ""
    if options:
        yield "| option | |"
        yield "|---|---|"
    for option in options:
        names = ", ".join(f"`{each}`" for each in option.opts)
        takes = f" {option.metavar}" if option.metavar else ""
        yield f"| {names}{_cell(takes)} | {_cell(_joined(option.help or ''))} |"
    yield ""


def _metrics_page() -> str:
    exploration = ExplorationMetrics(Exploration)
    lines = [
        "# Metrics",
        "",
        "`--metrics ADDR:PORT` serves these for Prometheus while a run or a soak goes on.",
        *("", *_metrics_table(Metrics(":0").families())),
        *("", "And these while `matrix explore` does.", ""),
        *_metrics_table(exploration.collect()),
    ]
    return "\n".join(lines) + "\n"


def _metrics_table(families: Iterable[Metric]) -> Iterator[str]:
    yield "| metric | kind | |"
    yield "|---|---|---|"
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield f"| `{name}` | {family.type} | {family.documentation} |"


def _joined(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
