"""Joins the page's ES modules into the one script that stands in it.

The policy of the page names one inline script by its digest, and such a script has no place to
import from. So the modules that editors, ``tsc`` and ``eslint`` know are put behind each other,
each after those that it imports, without imports, the word ``export``, ``/** … */`` and whole-line
comments. Joined they share their top-level names: what would mean something else then is refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass


class JoinError(ValueError):
    """Modules that cannot be joined, which is a mistake in our own sources."""

    def __init__(self, module: str, problem: str) -> None:
        super().__init__(f"{module}: {problem}")


@dataclass(frozen=True, slots=True)
class _Module:
    name: str
    imports: dict[str, tuple[str, ...]]
    """Names by the file that they come from."""
    exports: frozenset[str]
    names: tuple[str, ...]
    """All that it declares at its top level."""
    body: str


_COMMENT = re.compile(
    r"^[ \t]*//[^\n]*\n|^[ \t]*/\*\*.*?\*/[ \t]*\n|/\*\*.*?\*/ ?", re.MULTILINE | re.DOTALL
)
_IMPORT = re.compile(r'^import \{([^{}"]+)\} from "\./([\w.-]+)";\n', re.MULTILINE)
_DECLARATION = re.compile(
    r"^(export )?((?:async )?function\*? ?|class |const |let |var )([\w$]+)", re.MULTILINE
)
_REFUSED = (
    ("export default", r"^export default\b.*", "has a default export; export it by its name"),
    (
        "export",
        r"^\s*export\b(?! (?:const|let|var) [\[{]).*",
        "has an export that is no declaration",
    ),
    ("", r"^(?:export )?(?:const|let|var) [\[{].*", "takes a value apart at the top level"),
    ("import", r"^\s*import\b.*", 'has an import that is not import { a, b } from "./module.js";'),
    ("import", r"\bimport\s*[(.].*", "imports while it runs"),
)
"""(word in it, line, why not) of what is left of a module without what can be joined. The word is
looked for first: this goes on while the first guests start."""


def join_modules(read: Callable[[str], str], entry: str) -> tuple[tuple[str, ...], str]:
    """The file names of a module and of all that it imports, in the order in which they run; and
    the script that they are together.

    Args:
        read: gives the text of a module by its file name, or raises FileNotFoundError.
        entry: file name of the module that imports the others.

    Raises:
        JoinError: a module has what cannot be joined, or imports what is not exported; two declare
            the same name; modules import each other in a circle.
    """
    modules: dict[str, _Module] = {}
    _add(read, entry, modules, ())
    owners: dict[str, str] = {}
    for module in modules.values():
        for name in module.names:
            if owners.setdefault(name, module.name) != module.name:
                raise JoinError(module.name, f"declares {name}, as {owners[name]} does")
    return tuple(modules), "".join(module.body for module in modules.values())


def _add(
    read: Callable[[str], str], name: str, modules: dict[str, _Module], importing: tuple[str, ...]
) -> None:
    """Add a module after those that it imports; ``importing`` are those that led to it."""
    if name in modules:
        return
    if name in importing:
        circle = " → ".join((*importing[importing.index(name) :], name))
        raise JoinError(name, f"is imported in a circle: {circle}")
    try:
        module = _parsed(name, read(name))
    except FileNotFoundError:
        raise JoinError(importing[-1] if importing else name, f"there is no {name}") from None
    for source, names in module.imports.items():
        _add(read, source, modules, (*importing, name))
        for each in names:
            if each not in modules[source].exports:
                raise JoinError(name, f"imports {each}, which {source} does not export")
    modules[name] = module


def _parsed(name: str, text: str) -> _Module:
    code = _COMMENT.sub("", text)
    imports: dict[str, tuple[str, ...]] = {}
    for names, source in _IMPORT.findall(code):
        found = tuple(each.strip() for each in names.split(",") if each.strip())
        for each in found:
            if " " in each:
                raise JoinError(name, f"renames what it imports: {each}")
        imports[source] = imports.get(source, ()) + found
    code = _IMPORT.sub("", code)
    declared = _DECLARATION.findall(code)
    body = _DECLARATION.sub(r"\2\3", code)
    for word, line, problem in _REFUSED:
        if word in body and (refused := re.search(line, body, re.MULTILINE)):
            raise JoinError(name, f"{problem}: {refused[0].strip()}")
    for each in body.splitlines():
        if each.count("`") % 2:
            raise JoinError(name, f"has a template of several lines: {each.strip()}")
    return _Module(
        name,
        imports,
        frozenset(each for exported, _, each in declared if exported),
        tuple(each for _, _, each in declared),
        re.sub(r"\n{2,}", "\n", body).lstrip("\n"),
    )
