"""Migration blocks that are right; what is refused stands in the golden files."""

from collections.abc import Callable

import pytest

from matrix.errors import UsageError
from matrix.migrating import Fault, Limits, Migration, MigrationMode, Strategy, Transport
from matrix.model import Accelerator, Architecture, Case, MemoryBackend, RunSettings, Variant
from matrix.scenario.expand import expand
from matrix.scenario.narrow import narrow
from matrix.scenario.scenario import Scenario, SuiteTests

Load = Callable[..., Scenario]
Suite = Callable[[Architecture], SuiteTests]

HEAD = "name: s\nsuite: {kind: kvm-unit-tests, build: builtin, tests: [boot]}\n"

EVERYTHING = """\
matrix: {arch: [x86_64]}
migration:
  mode: continuous
  strategy: [precopy, multifd]
  transport: [unix, tcp+tls-psk]
  parameters: {max-bandwidth: 64MiB/s, downtime-limit: 300ms, multifd-channels: 4}
  hops: 100
  duration: 8h
  pace: 0s
  destination: {qemu: ["11.1", system], machine: newest-common}
  faults: [cancel-in-active, kill-destination-in-active]
  limits:
    downtime: {p99: 300ms, max: 1s}
    blackout: {max: 2s}
    total-time: 60s
    hops-per-minute: 20
    clock-jump: 500ms
  explain_downtime: true
"""


def test_everything(load: Load) -> None:
    assert load(HEAD + EVERYTHING).migration == Migration(
        mode=MigrationMode.CONTINUOUS,
        strategies=(Strategy.PRECOPY, Strategy.MULTIFD),
        transports=(Transport.UNIX, Transport.TLS_PSK),
        faults=(Fault.CANCEL_IN_ACTIVE, Fault.KILL_DESTINATION_IN_ACTIVE),
        destinations=("11.1", "system"),
        machine="newest-common",
        parameters=(
            ("max-bandwidth", 64 << 20),
            ("downtime-limit", 300),
            ("multifd-channels", 4),
        ),
        hops=100,
        duration=8 * 3600.0,
        pace=0.0,
        limits=Limits(0.3, 1.0, 2.0, 60.0, 20.0, 0.5),
        explain_downtime=True,
    )


def test_nothing(load: Load) -> None:
    assert load(HEAD + "matrix: {arch: [arm]}\nmigration: {}\n").migration == Migration()
    assert load(HEAD + "matrix: {arch: [arm]}\n").migration is None


@pytest.mark.parametrize(
    ("block", "mode"),
    [
        ("{pace: 1s}", None),
        ("{strategy: file}", MigrationMode.ONCE),
        ("{hops: 1}", MigrationMode.CONTINUOUS),
        ("{duration: 1h}", MigrationMode.CONTINUOUS),
        ("{mode: cooperative}", MigrationMode.COOPERATIVE),
    ],
)
def test_the_mode_follows_from_what_is_asked(
    load: Load, block: str, mode: MigrationMode | None
) -> None:
    text = f"{HEAD}matrix: {{arch: [arm]}}\nmigration: {block}\n"
    if mode is None:
        with pytest.raises(UsageError, match="says nothing with mode 'once'"):
            load(text)
        return
    migration = load(text).migration
    assert migration is not None
    assert migration.mode is mode


def cases(scenario: Scenario, suite: Suite) -> list[Case]:
    return expand(scenario, suite)


AXES = """\
matrix:
  arch: [arm]
  accel: [tcg]
  strategy: [precopy, multifd, file]
  transport: [unix, fd]
  exclude: [{strategy: multifd, transport: fd}]
migration: {hops: 3, parameters: {multifd-channels: 4}}
"""


def test_axes_give_each_case_its_own_migration(load: Load, suite: Suite) -> None:
    found = {
        case.id: (case.migration.strategies, case.migration.transports, case.migration.parameters)
        for case in cases(load(HEAD + AXES), suite)
        if case.migration is not None
    }
    channels = (("multifd-channels", 4),)
    assert found == {
        "s.boot.arm.tcg.strategy=precopy.transport=unix": (
            (Strategy.PRECOPY,),
            (Transport.UNIX,),
            (),
        ),
        "s.boot.arm.tcg.strategy=precopy.transport=fd": ((Strategy.PRECOPY,), (Transport.FD,), ()),
        "s.boot.arm.tcg.strategy=multifd.transport=unix": (
            (Strategy.MULTIFD,),
            (Transport.UNIX,),
            channels,
        ),
        # Once, and not once for every transport that it does not take.
        "s.boot.arm.tcg.strategy=file": ((Strategy.FILE,), (), ()),
    }


def test_the_version_grid(load: Load, suite: Suite) -> None:
    text = 'matrix: {arch: [arm], qemu: [system, "11.1"], destination: [system, "11.1"]}\n'
    found = cases(load(HEAD + text + "migration: {}\n"), suite)
    assert [case.id for case in found] == [
        "s.boot.arm.auto.destination=system",
        "s.boot.arm.auto.destination=11.1",
        "s.boot.arm.auto.qemu=11.1.destination=system",
        "s.boot.arm.auto.qemu=11.1.destination=11.1",
    ]
    assert [case.migration.destinations for case in found if case.migration] == [
        ("system",),
        ("11.1",),
    ] * 2


def test_the_memory_backend_is_an_axis(load: Load, suite: Suite) -> None:
    text = "matrix: {arch: [arm], memory: [64MiB], backend: [ram, hugepages]}\n"
    found = cases(load(HEAD + text), suite)
    assert [case.id for case in found] == [
        "s.boot.arm.auto.memory=64MiB.backend=ram",
        "s.boot.arm.auto.memory=64MiB.backend=hugepages",
    ]
    assert found[1].variant == Variant(
        Architecture.ARM, memory=64 << 20, backend=MemoryBackend.HUGEPAGES
    )
    assert found[1].variant.axes()["backend"] == "hugepages"


class TestNarrow:
    def test_an_axis_is_set(self, load: Load) -> None:
        scenario = narrow(load(HEAD + AXES), set_=["strategy=postcopy"])
        assert {(v.strategy, v.transport) for v in scenario.variants} == {
            (Strategy.POSTCOPY, Transport.UNIX),
            (Strategy.POSTCOPY, Transport.FD),
        }

    def test_what_then_makes_no_sense_is_a_skip_with_the_reason(self, load: Load) -> None:
        scenario = narrow(load(HEAD + AXES), set_=["transport=exec"])
        assert {v.strategy for v in scenario.variants} == {Strategy.PRECOPY, Strategy.FILE}
        (exclusion,) = scenario.exclusions
        assert exclusion.variant.strategy is Strategy.MULTIFD
        assert "several connections" in exclusion.reason

    def test_a_scenario_that_migrates_nothing_has_no_such_axis(self, load: Load) -> None:
        with pytest.raises(UsageError, match="'s' migrates nothing"):
            narrow(load(HEAD + "matrix: {arch: [arm]}\n"), set_=["strategy=postcopy"])

    def test_other_axes_may_be_set_as_ever(self, load: Load) -> None:
        scenario = narrow(load(HEAD + "matrix: {arch: [arm]}\n"), set_=["backend=numa"])
        assert scenario.variants == (
            Variant(Architecture.ARM, Accelerator.AUTO, backend=MemoryBackend.NUMA),
        )


def test_retries_and_until_fail(load: Load) -> None:
    text = "matrix: {arch: [arm]}\nrun: {retries: 2, until_fail: true, repeat: 5}\n"
    assert load(HEAD + text).settings == RunSettings(repeat=5, retries=2, until_fail=True)
