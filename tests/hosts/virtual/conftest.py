"""What tests of virtual hosts compile programs with that run there."""

import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import pytest


class Compile(Protocol):
    """Compiles a C file for aarch64."""

    def __call__(self, source: Path, program: Path, *options: str) -> Path:
        """Give the program, in a folder that is made where it is not there."""


@pytest.fixture(scope="session")
def compile_program(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Of Debian's cross compiler; a compiler without a C library is a skip, too."""
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if compiler is None:
        pytest.skip("no aarch64-linux-gnu-gcc (.ci/install-packages compilers)")

    def compile_it(source: Path, program: Path, *options: str) -> Path:
        program.parent.mkdir(exist_ok=True)
        subprocess.run([compiler, *options, "-o", program, source], check=True)
        return program

    folder = tmp_path_factory.mktemp("compiler")
    source = folder / "nothing.c"
    source.write_text("int main(void) { return 0; }\n")
    tried = [compiler, "-static", "-o", str(folder / "nothing"), str(source)]
    if subprocess.run(tried, capture_output=True, check=False).returncode:
        pytest.skip(f"{compiler} links no programs; its C library is libc6-dev-arm64-cross")
    return compile_it
