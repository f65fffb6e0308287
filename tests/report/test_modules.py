"""ES modules joined into one script, and everything that makes them refuse."""

from importlib import resources

import pytest

from matrix.report.modules import JoinError, join_modules
from matrix.report.page import ENTRY


def join(**sources: str) -> tuple[tuple[str, ...], str]:
    """Join modules from ``main.js`` on; ``a="…"`` is the text of ``a.js``."""
    files = {f"{name}.js": text for name, text in sources.items()}

    def read(name: str) -> str:
        try:
            return files[name]
        except KeyError:
            raise FileNotFoundError(name) from None

    return join_modules(read, "main.js")


def test_modules_stand_after_those_that_they_import() -> None:
    names, script = join(
        main='import { b } from "./b.js";\nimport {\n  a,\n  C,\n} from "./a.js";\n\nb(a, C);\n',
        a="export const a = 1;\nexport class C {\n}\nlet hidden = 2;\n",
        b='import { a } from "./a.js";\n\nexport async function b() {\n  return a;\n}\n',
    )
    assert names == ("a.js", "b.js", "main.js")
    assert script == (
        "const a = 1;\nclass C {\n}\nlet hidden = 2;\n"
        "async function b() {\n  return a;\n}\n"
        "b(a, C);\n"
    )


def test_comments_stay_behind_but_not_what_looks_like_them() -> None:
    _, script = join(
        main="""// The head.
/**
 * @import { Other } from "./elsewhere.js"
 * @param {string} text
 */
function f(text) {
  // a line
  const link = /** @type {Element} */ (text); // said beside it
  return "https://x" + link;
}
"""
    )
    assert script == (
        "function f(text) {\n"
        "  const link = (text); // said beside it\n"
        '  return "https://x" + link;\n'
        "}\n"
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("export default function f() {}", "has a default export; export it by its name"),
        ("export { f };", "has an export that is no declaration"),
        ('export * from "./a.js";', "has an export that is no declaration"),
        ("export const { f } = g;", "takes a value apart at the top level"),
        ("const [f, g] = h;", "takes a value apart at the top level"),
        ('import { a as b } from "./a.js";', "renames what it imports"),
        ('import a from "./a.js";', "has an import that is not"),
        ('import * as a from "./a.js";', "has an import that is not"),
        ('import "./a.js";', "has an import that is not"),
        ("import { a } from './a.js';", "has an import that is not"),
        ('import { a } from "https://a.example/a.js";', "has an import that is not"),
        ('const a = await import("./a.js");', "imports while it runs"),
        ("const here = import.meta.url;", "imports while it runs"),
        ("const text = `one\ntwo`;", "has a template of several lines"),
        ('import { missing } from "./a.js";', "imports missing, which a.js does not export"),
        ('import { hidden } from "./a.js";', "imports hidden, which a.js does not export"),
        ('import { b } from "./b.js";', "there is no b.js"),
    ],
)
def test_what_cannot_be_joined_is_refused(line: str, problem: str) -> None:
    with pytest.raises(JoinError) as caught:
        join(main=f"const one = 1;\n{line}\n", a="export const a = 1;\nconst hidden = 2;\n")
    assert str(caught.value).startswith(f"main.js: {problem}")


def test_a_name_in_two_modules_is_refused() -> None:
    with pytest.raises(JoinError, match=r"^main\.js: declares size, as a\.js does$"):
        join(
            main='import { a } from "./a.js";\n\nfunction size() {}\n',
            a="export const a = 1;\nconst size = 2;\n",
        )


def test_an_import_that_another_name_hides_is_refused() -> None:
    with pytest.raises(JoinError, match=r"^main\.js: declares a, as a\.js does$"):
        join(main='import { a } from "./a.js";\n\nconst a = 2;\n', a="export const a = 1;\n")


def test_a_circle_is_refused() -> None:
    with pytest.raises(JoinError, match=r"^a\.js: is imported in a circle: a\.js → b\.js → a\.js$"):
        join(
            main='import { a } from "./a.js";\n',
            a='import { b } from "./b.js";\n\nexport const a = 1;\n',
            b='import { a } from "./a.js";\n\nexport const b = 1;\n',
        )


def test_the_script_is_smaller_than_the_modules() -> None:
    assets = resources.files("matrix.report") / "assets"
    names, script = join_modules(lambda name: (assets / name).read_text("utf-8"), ENTRY)
    assert len(script) < sum(len((assets / name).read_text("utf-8")) for name in names)
    assert "/**" not in script
