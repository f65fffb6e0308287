"""The guests' C library, built for this machine, so that it can be called from tests."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from matrix.guests.check import SOURCES

STUBS = r"""
#include <arch.h>
#include <guest.h>

static char console[65536];
static size_t used;

void arch_console_write(const char *text, size_t length)
{
    while (length-- && used < sizeof(console) - 1)
        console[used++] = *text++;
}

const char *console_text(void);
const char *console_text(void)
{
    console[used] = 0;
    return console;
}

uint64_t stub_frequency = 1;
uint64_t arch_clock(void) { return 0; }
uint64_t arch_clock_frequency(void) { return stub_frequency; }
_Noreturn void arch_exit(int code) { (void)code; for (;;) ; }
"""
LIBRARY = ("printf", "string", "report", "random", "time", "divide", "memory-map")


class Guest:
    """One freshly loaded copy of the library, with static data of its own."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.library.console_text.restype = ctypes.c_char_p
        self.library.snprintf.restype = ctypes.c_size_t
        self.library.random_next.restype = ctypes.c_uint64
        for name in ("ticks_to_nanoseconds", "nanoseconds_to_ticks"):
            getattr(self.library, name).restype = ctypes.c_uint64
            getattr(self.library, name).argtypes = [ctypes.c_uint64]

    def console(self) -> str:
        """What has been written to the console."""
        text = self.library.console_text()
        assert isinstance(text, bytes)
        return text.decode()

    def format(self, template: str, *values: object, size: int = 512) -> tuple[str, int]:
        """What snprintf puts into a buffer of that size, and the length that it returns."""
        buffer = ctypes.create_string_buffer(size + 1)
        length = self.library.snprintf(buffer, size, template.encode(), *values)
        return buffer.value.decode(), length


@pytest.fixture(scope="session")
def built_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for this machine: apt-get install gcc")
    folder = tmp_path_factory.mktemp("library")
    (folder / "arch-inline.h").write_text("static inline void cpu_relax(void) {}\n")
    (folder / "stubs.c").write_text(STUBS)
    sources = [str(SOURCES / "lib" / f"{name}.c") for name in LIBRARY]
    command = [compiler, "-std=gnu11", "-O1", "-ffreestanding", "-fPIC", "-shared", "-Wall"]
    # The 64-bit division of 32-bit architectures works on any; only its condition is in the way.
    command += ["-U__SIZEOF_POINTER__", "-D__SIZEOF_POINTER__=4", "-Wl,-Bsymbolic"]
    command += ["-Wno-builtin-macro-redefined", f"-I{SOURCES / 'include'}", f"-I{folder}"]
    library = folder / "guest.so"
    subprocess.run(
        [*command, "-o", str(library), str(folder / "stubs.c"), *sources], check=True, text=True
    )
    return library


@pytest.fixture
def guest(built_library: Path, tmp_path: Path) -> Guest:
    copy = tmp_path / "guest.so"
    shutil.copy(built_library, copy)
    return Guest(copy)


@pytest.fixture(scope="session")
def shared_guest(built_library: Path) -> Guest:
    """For properties of functions that keep no state."""
    return Guest(built_library)
