"""Finds kvmtool, the other program that runs kvm-unit-tests guests."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "KVMTOOL"
"""Names the program, as kvm-unit-tests' runner takes it."""
NAMES = ("lkvm", "lkvm-static")
"""What it is installed as. Its third name, ``vm``, is anybody's."""


def find_kvmtool(environment: Mapping[str, str] = os.environ) -> str:
    """The absolute path of kvmtool's program; empty where there is none."""
    named = environment.get(VARIABLE, "")
    for name in (named,) if named else NAMES:
        found = shutil.which(name, path=environment.get("PATH"))
        if found is not None:
            return str(Path(found).absolute())
    return ""
