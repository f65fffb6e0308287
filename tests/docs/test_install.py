"""The page on how to install it knows every extra and every package of QEMU."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/install.md").read_text("utf-8")


def test_every_extra_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    section = PAGE.partition("\n## Extras\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", section, re.MULTILINE))
    assert rows.keys() == project["optional-dependencies"].keys()
    for extra in rows.keys() - {"dev"}:
        for requirement in project["optional-dependencies"][extra]:
            name, version = re.findall(r"^([\w-]+).*>=(\d+)", requirement)[0]
            assert name in rows[extra]
            assert "or later" not in rows[extra] or version in rows[extra]


def test_every_package_of_qemu_is_there() -> None:
    script = (ROOT / ".ci/install-packages").read_text("utf-8")
    qemu = script.partition("\nqemu)\n")[2].partition(";;")[0]
    packages = {
        name
        for listed in re.findall(r"(?:debian|fedora)=\((.+?)\)", qemu, re.DOTALL)
        for name in listed.split()
    }
    assert len(packages) > 15
    assert [name for name in sorted(packages) if f"`{name}`" not in PAGE] == []
