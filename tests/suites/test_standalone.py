"""Standalone tests in samples of ours, laid out as kvm-unit-tests' ``mkstandalone.sh`` does."""

import base64
import contextlib
import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matrix.errors import Problem, SuiteError
from matrix.model import Architecture, Build, Test
from matrix.suites.standalone import is_standalone, read_standalone
from matrix.suites.unittests import read_tests, refresh_test

OLD = ("testname", "groups", "smp", "kernel", "opts", "arch", "check", "accel", "timeout")
MACHINE = (*OLD[:6], "machine", *OLD[6:])
NEW = (*OLD[:4], "test_args", "opts", "arch", "machine", *OLD[6:], "disabled_if")


def packed(variable: str, content: bytes) -> str:
    text = base64.encodebytes(gzip.compress(content, mtime=0)).decode()
    head = f"{variable}=`mktemp`\nbase64 -d << 'BIN_EOF' | zcat > ${variable} || exit 2\n"
    return f"{head}{text}BIN_EOF\nchmod +x ${variable}\n"


def standalone(
    last: str, parameters: tuple[str, ...] = NEW, *exports: str, image: bytes = b"image"
) -> str:
    """A script whose ``run`` takes these parameters."""
    head = "#!/usr/bin/env bash\nexport KUT_STANDALONE=yes\nexport ENVIRON_DEFAULT=yes\n"
    head += "export HOST=$(uname -m)\n" + "".join(f"export {each}\n" for each in exports)
    head += "export \necho BUILD_HEAD=1234abcd\n"
    body = packed("ERRATATXT", b"# errata\n") + packed("bin", image)
    function = "function run()\n{\n"
    for number, name in enumerate(parameters, 1):
        place = f"${number}" if number < 10 else f"${{{number}}}"
        place = f"${{CHECK:-{place}}}" if name == "check" else place
        function += f'    local {name}="{place}"\n'
    return f"{head}{body}{function}}}\ntouch executed\n{last}\n"


def folder(tmp_path: Path, **scripts: str) -> Path:
    directory = tmp_path / "tests"
    directory.mkdir(exist_ok=True)
    for name, text in scripts.items():
        (directory / name).write_text(text)
    return directory


def read(directory: Path, architecture: Architecture | None = None) -> Build:
    assert is_standalone(directory)
    return read_standalone(directory, architecture, directory.parent / "unpacked")


def only_test(tmp_path: Path, script: str) -> Test:
    (test,) = read_tests(read(folder(tmp_path, one=script)), max_smp=4)
    assert not (tmp_path / "executed").exists()
    assert not test.unsupported or "image" not in test.unsupported
    return test


def test_a_build(tmp_path: Path) -> None:
    text = standalone("run one '' 1 $bin", OLD, "ARCH=arm64", "PROCESSOR=cortex-a57")
    text = text.replace("echo BUILD", packed("FIRMWARE", b"rom") + "echo BUILD")
    build = read(folder(tmp_path, one=text))
    assert (build.architecture, build.target, build.default_cpu) == (
        Architecture.AARCH64,
        "qemu",
        "cortex-a57",
    )
    assert (build.own, build.revision) == (("environment", "standalone"), "1234abcd")
    assert Path(dict(build.files)["errata"]).read_bytes() == b"# errata\n"
    assert Path(build.firmware).read_bytes() == b"rom"


@pytest.mark.parametrize(
    ("parameters", "last"),
    [
        (OLD, r"run one g\ h 2\,threads=2 $bin -m\ 1\ -append\ \'a\ b\' x86_64 /a=Y\ /b=0 tcg 5s"),
        (
            MACHINE,
            r"run one g\ h 2\,threads=2 $bin -m\ 1\ -append\ \'a\ b\' x86_64 q35 /a=Y\ /b=0 tcg 5s",
        ),
        (
            NEW,
            (
                r"run one g\ h -smp\ 2\,threads=2 $bin -append\ \'a\ b\' -m\ 1 x86_64 q35"
                r" /a=Y\ /b=0 tcg 5s \[\[\ \"\$TARGET\"\ ==\ kvmtool\ \]\]"
            ),
        ),
    ],
)
def test_values_of_every_layout(tmp_path: Path, parameters: tuple[str, ...], last: str) -> None:
    test = only_test(tmp_path, standalone(last, parameters, "ARCH=x86_64"))
    assert (test.name, test.groups, test.smp, test.topology) == ("one", ("g", "h"), 2, "threads=2")
    assert (test.qemu_params, test.arguments) == (("-m", "1"), "a b")
    assert test.checks == (("/a", "Y"), ("/b", "0"))
    assert (test.accelerator, test.timeout, test.unsupported) == ("tcg", 5.0, "")
    assert test.machine == ("" if parameters is OLD else "q35")
    assert Path(test.image).read_bytes() == b"image"
    assert Path(test.image).name == "one.flat"


def test_values_over_several_lines(tmp_path: Path) -> None:
    last = r"run one '' -smp\ 1 $bin '' $'-m 1\n -device\tx' '' '' '' '' '' ''"
    assert only_test(tmp_path, standalone(last, NEW, "ARCH=s390x")).qemu_params == (
        "-m",
        "1",
        "-device",
        "x",
    )
    last = r"run one '' -smp\ 1 $bin '' \ -m\ 1\ \\\$\'\\n\'-device\ x '' '' '' '' '' ''"
    test = only_test(tmp_path, standalone(last, NEW, "ARCH=s390x"))
    assert test.qemu_params == ("-m", "1", "-device", "x")


def test_values_that_take_a_shell_are_not_executed(tmp_path: Path) -> None:
    last = r"run one '' -smp\ \$MAX_SMP $bin -append\ \"\$\(touch\ executed\)\" '' '' '' '' '' ''"
    test = only_test(tmp_path, standalone(last, NEW, "ARCH=x86_64"))
    assert test.smp == 4
    assert test.unsupported == (
        "its test_args cannot be evaluated: '\"$(touch executed)\"' takes a shell,"
        " and standalone tests are not executed"
    )


def test_the_time_is_had_anew(tmp_path: Path) -> None:
    last = r"run one '' -smp\ 1 $bin -append\ \"\`date\ +%s\`\" '' '' '' '' '' ''"
    directory = folder(tmp_path, one=standalone(last, NEW, "ARCH=x86_64"))
    build = read(directory)
    (test,) = read_tests(build, max_smp=1)
    assert test.dynamic
    assert int(refresh_test(build, test, max_smp=1).arguments) >= int(test.arguments)


def test_kvmtool(tmp_path: Path) -> None:
    last = (
        r"run one '' --cpus\ 1 $bin --params\ a --nodefaults\ --network\ mode=none"
        r"\ --loglevel=warning\ --pmu '' '' '' '' '' ''"
    )
    test = only_test(tmp_path, standalone(last, NEW, "ARCH=arm64", "TARGET=kvmtool"))
    assert (test.arguments, test.kvmtool_params, test.qemu_params) == ("a", ("--pmu",), ())


def test_images_that_were_not_built(tmp_path: Path) -> None:
    text = standalone("", NEW, "ARCH=x86_64")
    cut = text.partition("ERRATATXT=`")[0]
    cut += 'echo "skip one (test kernel not present)"\nexit 2\n'
    (test,) = read_tests(read(folder(tmp_path, one=cut)), max_smp=1)
    assert (test.name, test.unsupported) == ("one", "its image one.flat is not built")


def test_a_build_is_told_by_a_script_with_an_image(tmp_path: Path) -> None:
    whole = standalone("run one '' 1 $bin", OLD, "ARCH=ppc64")
    whole = whole.replace("echo BUILD", packed("FIRMWARE", b"rom") + "echo BUILD")
    cut = whole.partition("FIRMWARE=`")[0]
    cut += 'echo "skip a (test kernel not present)"\nexit 2\n'
    build = read(folder(tmp_path, a=cut, one=whole))
    assert Path(build.firmware).read_bytes() == b"rom"
    assert Path(dict(build.files)["errata"]).name == "errata.txt"


def test_protected_guests_and_elf_images_by_their_names(tmp_path: Path) -> None:
    one = standalone("run one '' 1 $bin", OLD, "ARCH=s390x", image=b"\x7fELF")
    other = standalone("run one_PV pv 1 $bin", OLD, "ARCH=s390x")
    tests = read_tests(read(folder(tmp_path, one=one, one_PV=other)), max_smp=1)
    assert [Path(test.image).name for test in tests] == ["one.elf", "one_PV.pv.bin"]


@pytest.mark.parametrize(("data", "endian"), [(b"\x01", "little"), (b"\x02", "big")])
def test_byte_order_of_elf_images(tmp_path: Path, data: bytes, endian: str) -> None:
    text = standalone("run one '' 1 $bin", OLD, "ARCH=ppc64", image=b"\x7fELF\x02" + data)
    assert read(folder(tmp_path, one=text)).endian == endian


def test_scripts_of_several_architectures(tmp_path: Path) -> None:
    directory = folder(
        tmp_path,
        a=standalone("run a '' 1 $bin", OLD, "ARCH=arm64"),
        x=standalone("run x '' 1 $bin", OLD, "ARCH=x86_64"),
    )
    (test,) = read_tests(read(directory, Architecture.X86_64), max_smp=1)
    assert test.name == "x"
    with pytest.raises(SuiteError) as caught:
        read(directory, Architecture.S390X)
    assert str(caught.value) == (
        f"{directory}: has standalone tests for arm64, x86_64, none for s390x"
    )


def test_what_was_unpacked_and_changed_is_mended(tmp_path: Path) -> None:
    directory = folder(tmp_path, one=standalone("run one '' 1 $bin", OLD, "ARCH=x86_64"))
    (test,) = read_tests(read(directory), max_smp=1)
    Path(test.image).write_bytes(b"other")
    (again,) = read_tests(read(directory), max_smp=1)
    assert again == test
    assert Path(test.image).read_bytes() == b"image"


GOOD = standalone("run one '' 1 $bin", OLD, "ARCH=x86_64")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.partition("function run")[0], "cannot be read: it does not end with `run TEST"),
        (GOOD.replace("H4sI", "H4s!"), ": the file that begins here is damaged"),
        (GOOD.replace("BIN_EOF\nchmod", "chmod"), ": the file that begins here has no BIN_EOF"),
        (GOOD.replace("local kernel", "local core"), ": its function run() is none of"),
        (GOOD.replace("run one", "run $(x)"), ": column 5 is not quoted as by %q"),
        (GOOD.replace("run one", "run ../x"), ": '../x' cannot be a test's name"),
        (GOOD.replace("run one", "run good"), "test 'good' is that of good"),
        (GOOD.replace("'' 1 $bin", "'' two $bin"), "smp: 'two' is not understood; "),
    ],
)
def test_scripts_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    good = standalone("run good '' 1 $bin", OLD, "ARCH=x86_64")
    directory = folder(tmp_path, good=good, one=text)
    (directory / "README").write_text("no script")
    warnings: list[Problem] = []
    build = read(directory)
    tests = read_tests(build, max_smp=1, on_warning=warnings.append)
    assert [(test.name, bool(test.unsupported)) for test in tests] == [
        ("good", False),
        ("one", True),
    ]
    (warning,) = warnings
    assert message.removeprefix(": ") in str(warning)
    assert str(warning).startswith(f"{directory}/one")
    assert tests[1].unsupported.startswith("its script cannot be read: ")


def test_folders_without_such_scripts(tmp_path: Path) -> None:
    assert not is_standalone(tmp_path / "none")
    assert not is_standalone(folder(tmp_path, one="#!/bin/sh\n"))
    directory = folder(tmp_path, one=GOOD)
    (directory / "config.mak").touch()
    assert not is_standalone(directory)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(start=st.integers(0, len(GOOD)), length=st.integers(0, 40), other=st.binary(max_size=20))
def test_any_damage_gives_tests_or_a_suite_error(
    start: int, length: int, other: bytes, tmp_path: Path
) -> None:
    data = GOOD.encode()
    directory = folder(tmp_path)
    (directory / "one").write_bytes(data[:start] + other + data[start + length :])
    with contextlib.suppress(SuiteError):  # and nothing else
        read_tests(read_standalone(directory, None, tmp_path / "unpacked"), max_smp=1)
