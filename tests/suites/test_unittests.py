import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matrix.capabilities import Kind, Need
from matrix.errors import Problem, SuiteError
from matrix.model import Architecture, Build, Test
from matrix.suites import unittests
from matrix.suites.build import read_build
from matrix.suites.shell import ShellAnswer, ShellError
from matrix.suites.unittests import NO_TIMEOUT, read_tests, refresh_test

BuildWriter = Callable[..., Path]


def problems_of(directory: Path) -> list[str]:
    with pytest.raises(SuiteError) as caught:
        read_tests(read_build(directory), max_smp=4)
    folder = str(directory / "x86") + "/"
    return [str(problem).replace(folder, "") for problem in caught.value.problems]


def only_test(directory: Path, **changes: object) -> Test:
    (test,) = read_tests(replace(read_build(directory), **changes), max_smp=4)  # type: ignore[arg-type] # fields by name
    return test


FULL = """\
# every key
[full]
file = one.flat
smp = $((MAX_SMP / 2)),threads=2
test_args = 'a b' $TEST_DIR
extra_params = -m 256 -device "x,y=z z"  # more
kvmtool_params = --mem 256
groups = g nodefault   # comment
arch = x86_64
machine = pc
accel = tcg,thread=single
check = /a=Y /b=c=d
timeout = 2m
disabled_if = [[ "$TARGET" = kvmtool ]]
"""


def test_every_key(write_build: BuildWriter) -> None:
    directory = write_build(FULL)
    assert only_test(directory) == Test(
        name="full",
        image=str(directory / "x86/one.flat"),
        arguments="a b x86",
        smp=2,
        topology="threads=2",
        qemu_params=("-m", "256", "-device", "x,y=z z"),
        groups=("g", "nodefault"),
        machine="pc",
        accelerator="tcg",
        accelerator_properties="thread=single",
        checks=(("/a", "Y"), ("/b", "c=d")),
        timeout=120.0,
        kvmtool_params=("--mem", "256"),
    )


def test_defaults(write_build: BuildWriter) -> None:
    directory = write_build("[one]\nfile = one.flat\n")
    assert only_test(directory) == Test("one", str(directory / "x86/one.flat"))


def test_continued_lines_of_parameters(write_build: BuildWriter) -> None:
    text = '[one]\nfile = one.flat\nqemu_params = """-smp cpus=1 \\\n-device a,b=$MAX_SMP \\\n"""\n'
    assert only_test(write_build(text)).qemu_params == ("-smp", "cpus=1", "-device", "a,b=4")


@pytest.mark.parametrize(
    ("value", "smp", "topology"),
    [
        ("1", 1, ""),
        ("3", 3, ""),
        ("$MAX_SMP", 4, ""),
        ("cpus=2,maxcpus=8", 2, "maxcpus=8"),
        ("$((($MAX_SMP < 3)?$MAX_SMP:3))", 3, ""),
    ],
)
def test_smp(write_build: BuildWriter, value: str, smp: int, topology: str) -> None:
    test = only_test(write_build(f"[one]\nfile = one.flat\nsmp = {value}\n"))
    assert (test.smp, test.topology) == (smp, topology)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("10s", 10.0), ("600", 600.0), ("1.5m", 90.0), ("1h", 3600.0), ("0", NO_TIMEOUT), ("", None)],
)
def test_timeouts(write_build: BuildWriter, value: str, seconds: float | None) -> None:
    assert only_test(write_build(f"[one]\nfile = one.flat\ntimeout = {value}\n")).timeout == seconds


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("arch = i386", "i386 only"),
        ("arch = x86_64", ""),
        ("groups = pv-host", "no gen-se-header available for pv-host test"),
        ('disabled_if = [[ "$TEST_DIR" = x86 ]]', 'disabled because: [[ "$TEST_DIR" = x86 ]]'),
        ("disabled_if = false", ""),
        ("disabled_if =", ""),
        ("disabled_if = # not yet", ""),
        ("test_args = 'x'", ""),
        (
            "test_args = $(no-such-command)",
            "its test_args cannot be evaluated here: no-such-command: command not found",
        ),
        (
            "smp = `no-such-command`",
            "its smp cannot be evaluated here: no-such-command: command not found",
        ),
        (
            "disabled_if = no-such-command",
            "its disabled_if cannot be evaluated here: no-such-command: command not found",
        ),
    ],
)
def test_what_this_build_does_not_run(write_build: BuildWriter, setting: str, reason: str) -> None:
    assert only_test(write_build(f"[one]\nfile = one.flat\n{setting}\n")).unsupported == reason


def test_images_that_are_not_built(write_build: BuildWriter) -> None:
    directory = write_build("[one]\nfile = two.flat\n")
    assert only_test(directory).unsupported == "its image two.flat is not built"
    directory = write_build("[one]\nfile = ../../x\n[two]\nfile = " + "y" * 5000)
    assert all(test.unsupported for test in read_tests(read_build(directory), max_smp=1))


def test_efi_builds_have_other_images(write_build: BuildWriter) -> None:
    directory = write_build("[one]\nfile = one.flat\n", images=("one.efi",))
    test = only_test(directory, efi=True)
    assert (Path(test.image).name, test.unsupported) == ("one.efi", "")


def test_architecture_names_of_configure(write_build: BuildWriter) -> None:
    directory = write_build("[one]\nfile = one.flat\narch = arm64\n", "ARCH=arm64\nTEST_DIR=x86\n")
    assert only_test(directory).unsupported == ""
    assert only_test(directory, architecture=Architecture.ARM).unsupported == "arm64 only"


S390X = """\
[plain]
file = a.elf
[tcg]
file = a.elf
accel = tcg
[moving]
file = a.elf
groups = migration
[missing]
file = b.elf
"""


def test_protected_guests(write_build: BuildWriter) -> None:
    images = ("a.elf", "a.pv.bin", "b.elf")
    directory = write_build(S390X, "ARCH=s390x\n", images=images, folder="s390x")
    tests = {test.name: test for test in read_tests(read_build(directory), max_smp=1)}
    assert list(tests) == ["plain", "plain_PV", "tcg", "moving", "missing"]
    assert tests["plain_PV"].groups == ("pv",)
    assert tests["plain_PV"].image.endswith("/a.pv.bin")

    config = "ARCH=s390x\nHOST_KEY_DOCUMENT=/x.crt\n"
    write_build(S390X, config, images=images, folder="s390x")
    tests = {test.name: test for test in read_tests(read_build(directory), max_smp=1)}
    assert tests["missing_PV"].unsupported == "PVM image was not created"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("smp = 0", "smp: '0' is not understood"),
        ("smp = two", "smp: 'two' is not understood"),
        ("smp = 1 2", "smp: '1 2' is not understood"),
        ("smp = $NONE", "smp: '' is not understood"),
        ("timeout = soon", "timeout: 'soon' is not understood"),
        ("timeout = -1", "timeout: '-1' is not understood"),
        ("accel = xen", "accel: 'xen' is not understood"),
        ("check = /a", "check: '/a' is not understood"),
        ("check = =Y", "check: '=Y' is not understood"),
        ("test_args = 'a", "test_args: ' is not closed; close the quote"),
        ("test_args = $(", "test_args: "),
        ("disabled_if = [[ x", "disabled_if: "),
    ],
)
def test_mistakes_name_their_place(write_build: BuildWriter, text: str, problem: str) -> None:
    (found,) = problems_of(write_build(f"[one]\nfile = one.flat\n{text}\n"))
    assert found.startswith(f"unittests.cfg:3:{text.index('=') + 3}: {problem}")
    assert "; " in found


def test_unknown_keys_are_warned_of_and_the_tests_run(write_build: BuildWriter) -> None:
    text = "[one]\nfile = one.flat\ngroops = a\nnonsense\n[two]\nfile = one.flat\n"
    build = read_build(write_build(text))
    warnings: list[Problem] = []
    tests = read_tests(build, max_smp=1, on_warning=warnings.append)
    assert [(test.name, test.unsupported) for test in tests] == [("one", ""), ("two", "")]
    assert [str(warning).rpartition("/")[2] for warning in warnings] == [
        "unittests.cfg:3:1: unknown key 'groops'; did you mean 'groups'?",
        "unittests.cfg:4:1: 'nonsense' is no setting; key = value, or [name]",
    ]
    with pytest.raises(SuiteError, match="unknown key 'groops'"):
        read_tests(replace(build, builtin=True), max_smp=1)


def test_byte_order_marks(write_build: BuildWriter) -> None:
    directory = write_build("\ufeff[one]\nfile = one.flat\n", "\ufeffARCH=x86_64\nTEST_DIR=x86\n")
    assert only_test(directory).name == "one"


def test_all_mistakes_at_once(write_build: BuildWriter) -> None:
    text = "[one]\nsmp = x\n[two]\nfile =\ntimeout = y\n[three]\nfile = one.flat\n[bad\n"
    assert [problem.split(": ")[0] for problem in problems_of(write_build(text))] == [
        "unittests.cfg:1:1",
        "unittests.cfg:2:7",
        "unittests.cfg:4:1",
        "unittests.cfg:5:11",
        "unittests.cfg:8:1",
    ]


def test_a_command_that_hangs(write_build: BuildWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(requests: object, **options: object) -> tuple[ShellAnswer, ...]:
        raise ShellError("it cannot be evaluated: bash took more than 10 s", 1)

    monkeypatch.setattr(unittests, "evaluate", evaluate)
    text = "[one]\nfile = one.flat\nsmp = $MAX_SMP\n[two]\nfile = one.flat\nsmp = $(sleep 60)\n"
    assert problems_of(write_build(text)) == [
        "unittests.cfg:6:7: smp: it cannot be evaluated: bash took more than 10 s"
    ]


def test_no_shell_is_started_where_none_is_needed(
    write_build: BuildWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    text = "[one]\nfile = one.flat\ntest_args = 'a b'\ngroups = $x\n"
    assert only_test(write_build(text)).arguments == "a b"
    with pytest.raises(SuiteError, match="bash is needed to evaluate it"):
        only_test(write_build("[one]\nfile = one.flat\ntest_args = $x\n"))


def test_a_configuration_that_vanished(write_build: BuildWriter) -> None:
    directory = write_build()
    build = read_build(directory)
    (directory / "config.mak").unlink()
    with pytest.raises(SuiteError, match="has no config"):
        read_tests(build, max_smp=1)


def test_embedded_guests_never_reach_a_shell(
    write_build: BuildWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    directory = write_build("[one]\nfile = one.flat\ntest_args = smp={smp} '$(x)' `y`\n")
    test = only_test(directory, builtin=True)
    assert (test.arguments, test.dynamic) == ("smp={smp} $(x) `y`", False)
    (directory / "config.mak").unlink()
    build = Build(Architecture.X86_64, str(directory), str(directory / "x86"), builtin=True)
    assert read_tests(build, max_smp=1) == (test,)
    write_build("[one]\nfile = one.flat\ndisabled_if = true\n")
    with pytest.raises(SuiteError, match="the embedded guests have no conditions"):
        read_tests(build, max_smp=1)


def test_embedded_guests_name_the_devices_that_a_host_assigns(write_build: BuildWriter) -> None:
    text = "[one]\nfile = one.flat\nqemu_params = -device vfio-pci,host={device:edu}\n"
    directory = write_build(text)
    assert only_test(directory, builtin=True).needs == (Need(Kind.DEVICE, "edu"),)
    assert only_test(directory).needs == ()


def test_values_that_commands_printed_can_be_had_anew(write_build: BuildWriter) -> None:
    directory = write_build(
        "[one]\nfile = one.flat\ntest_args = a $(cat now)\n"
        "[two]\nfile = one.flat\nsmp = $((1 + 1))\n"
        "[three]\nfile = one.flat\ntest_args = `cat now`\n"
    )
    (directory / "now").write_text("1\n")
    build = read_build(directory)
    tests = read_tests(build, max_smp=1)
    assert [(test.arguments, test.dynamic) for test in tests] == [
        ("a 1", True),
        ("", False),
        ("1", True),
    ]
    (directory / "now").write_text("2\n")
    assert refresh_test(build, tests[0], max_smp=1) == replace(tests[0], arguments="a 2")
    with pytest.raises(SuiteError, match="test 'four' is no longer in"):
        refresh_test(build, replace(tests[0], name="four"), max_smp=1)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    data=st.binary(max_size=120)
    | st.text(alphabet="[]=#\\\"'\n ab1\t", max_size=120).map(str.encode)
    | st.lists(
        st.sampled_from(
            ["[a]", "[b]", "file = x", "smp = 2", "smp=x", 'qemu_params = """-a \\', '"""',
             "check=a=b", "test_args = 'a", "accel = tcg", "timeout = 9s", "#", "arch = i386",
             "groups = a b"]
        ),
        max_size=12,
    ).map(lambda lines: "\n".join(lines).encode())
)  # fmt: skip
def test_any_bytes_give_tests_or_a_suite_error(data: bytes, write_build: BuildWriter) -> None:
    build = replace(read_build(write_build(data)), builtin=True)
    try:
        tests = read_tests(build, max_smp=1)
    except SuiteError:
        return
    assert len({test.name for test in tests}) == len(tests)
    assert all(test.image and test.smp >= 1 for test in tests)


def test_reading_all_real_configurations_is_fast(recordings: Path) -> None:
    """217 tests in 100 ms and a start of bash each; here with room for a busy machine."""
    builds = [read_build(path.parent) for path in recordings.glob("*/config.mak")]
    start = time.perf_counter()
    count = sum(len(read_tests(build, max_smp=2)) for build in builds)
    assert count == 217
    assert time.perf_counter() - start < 30
