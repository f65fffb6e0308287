"""Pipelines as YAML that people read and change: in order, with scripts as blocks."""

from typing import Any

import yaml

WIDTH = 10_000
"""A command stays on its line, however long."""


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, as CI systems' documentation does, and has no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - never indentless
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - for all data
        return True


class Flow(list[Any]):
    """A list that is written on one line."""


def _flow(dumper: yaml.SafeDumper, value: Flow) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(Flow, _flow)
_Dumper.add_representer(str, _text)


def yaml_text(document: dict[str, Any], head: str) -> str:
    """A document as YAML.

    Args:
        document: plain values; keys stay in their order, and top-level ones stand apart.
        head: lines that explain it, which become comments.
    """
    parts = [
        yaml.dump({key: value}, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)
        for key, value in document.items()
    ]
    comment = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    return comment + "\n" + "\n".join(parts)
