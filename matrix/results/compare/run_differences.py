"""What else differs between two sides: QEMUs, hosts, the tool, the suite's revision, scenarios."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from matrix.inventory import Host
from matrix.results.case_record import CaseRecord
from matrix.results.compare.changes import Difference
from matrix.results.compare.sides import ComparedRun
from matrix.results.run_info import QemuFingerprint, RunInfo

_OBJECT_NAME = re.compile("[0-9a-f]{40}([0-9a-f]{24})?")

_HOST_FACTS: tuple[tuple[str, Callable[[Host], str]], ...] = (
    ("host architecture", lambda host: host.architecture),
    ("host kernel", lambda host: host.kernel),
    ("host CPU", lambda host: host.cpu_model),
    ("host CPUs", lambda host: str(host.cpus)),
    ("/dev/kvm", lambda host: host.kvm_device or "can be opened"),
)


def run_differences(a: ComparedRun, b: ComparedRun) -> tuple[Difference, ...]:
    """What is known to differ between two runs, as far as their fingerprints say."""
    if not a.info.started or not b.info.started:
        return ()  # one of them is only results: nothing is known of what made them
    return tuple(_run_differences(a, b))


def qemu_differences(info: RunInfo, name_a: str, name_b: str) -> tuple[Difference, ...]:
    """How the versions of two QEMU installations of one run differ."""
    by_architecture: tuple[dict[str, str], ...] = ({}, {})
    for versions, name in zip(by_architecture, (name_a, name_b), strict=True):
        for binary in info.binaries:
            if binary.qemu == name:
                versions[binary.architecture] = binary.version
    return tuple(_by_architecture("QEMU", *by_architecture))


def case_differences(a: CaseRecord, b: CaseRecord) -> tuple[Difference, ...]:
    """How one case was run otherwise on each side; nothing of one that was not run in any way."""
    if not a.attempts or not b.attempts:
        return ()
    facts = [("accelerator", a.accelerator, b.accelerator)]
    if a.image and b.image:  # else one is of a version that kept nothing of what was run
        facts += [
            ("arguments", *(("", "") if a.dynamic else (a.arguments, b.arguments))),
            ("QEMU parameters", " ".join(a.qemu_params), " ".join(b.qemu_params)),
            ("vCPUs of the test", str(a.vcpus), str(b.vcpus)),
            ("timeout", f"{a.timeout:g} s", f"{b.timeout:g} s"),
        ]
    return tuple(Difference(*each) for each in facts if each[1] != each[2])


def short_revision(revision: str) -> str:
    """A git object's name as people write it; anything else as it is."""
    return revision[:12] if _OBJECT_NAME.fullmatch(revision) else revision


def _run_differences(a: ComparedRun, b: ComparedRun) -> Iterator[Difference]:
    yield from _qemus(a.info.binaries, b.info.binaries)
    for what, fact in _HOST_FACTS:
        yield from _difference(what, fact(a.info.host), fact(b.info.host))
    yield from _difference("host", a.info.hostname, b.info.hostname)
    yield from _proofs(a.info, b.info)
    yield from _difference("matrix", a.info.tool_version, b.info.tool_version)
    suites = (_revisions(a), _revisions(b))
    for suite in dict.fromkeys([*suites[0], *suites[1]]):
        revisions = (suites[0].get(suite, {}), suites[1].get(suite, {}))
        yield from _by_architecture(f"{suite} revision", *revisions, only_known=True)
    yield from _scenarios(a.info, b.info)
    if "jobs" in a.info.options and "jobs" in b.info.options:
        jobs = (a.info.options["jobs"], b.info.options["jobs"])
        yield from _difference("-j", *("" if each is None else str(each) for each in jobs))


def _difference(what: str, a: str, b: str) -> Iterator[Difference]:
    if a != b:
        yield Difference(what, a, b)


def _qemus(a: Iterable[QemuFingerprint], b: Iterable[QemuFingerprint]) -> Iterator[Difference]:
    sides: tuple[dict[str, dict[str, str]], ...] = ({}, {})
    for side, binaries in zip(sides, (a, b), strict=True):
        for binary in binaries:
            side.setdefault(binary.qemu, {})[binary.architecture] = binary.version
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        yield from _by_architecture(f"QEMU {name}", sides[0].get(name, {}), sides[1].get(name, {}))
    digests = [{(x.qemu, x.architecture): (x.version, x.sha256) for x in side} for side in (a, b)]
    for key, (version, digest) in digests[0].items():
        other_version, other = digests[1].get(key, ("", ""))
        if version == other_version and digest and other and digest != other:
            what = f"QEMU {key[0]} binary ({key[1]})"
            yield Difference(what, f"SHA-256 {digest[:12]}", f"SHA-256 {other[:12]}")


def _proofs(a: RunInfo, b: RunInfo) -> Iterator[Difference]:
    sides = [{(x.qemu, x.architecture, x.cpu): x.state for x in info.proofs} for info in (a, b)]
    for key, state in sides[0].items():
        other = sides[1].get(key)
        if other is not None and other is not state:
            qemu, architecture, cpu = key
            what = f"KVM for {architecture} (QEMU {qemu}, {cpu or 'default CPU'})"
            yield Difference(what, state.value, other.value)


def _revisions(record: ComparedRun) -> dict[str, dict[str, str]]:
    """By suite and architecture; several builds' are joined."""
    builds: dict[tuple[str, str, str], None] = {}
    for case in record.planned():
        builds.setdefault((case.suite, case.axes.arch, case.suite_revision))
    found: dict[str, dict[str, str]] = {}
    for suite, architecture, revision in sorted(builds):
        revisions = found.setdefault(suite, {})
        former, new = revisions.get(architecture, ""), short_revision(revision)
        revisions[architecture] = f"{former}, {new}" if former and new else former or new
    return found


def _scenarios(a: RunInfo, b: RunInfo) -> Iterator[Difference]:
    sides = [{source.name: source.sha256 for source in info.scenarios} for info in (a, b)]
    for name, digest in sides[0].items():
        other = sides[1].get(name)
        if other is not None and other != digest:
            yield Difference(f"scenario {name}", f"SHA-256 {digest[:12]}", f"SHA-256 {other[:12]}")


def _by_architecture(
    what: str, a: Mapping[str, str], b: Mapping[str, str], *, only_known: bool = False
) -> Iterator[Difference]:
    """One difference for all architectures that differ alike."""
    alike: dict[tuple[str, str], list[str]] = {}
    architectures = dict.fromkeys([*a, *b])
    for architecture in architectures:
        values = (a.get(architecture, ""), b.get(architecture, ""))
        if only_known and not all(values):
            continue
        alike.setdefault(values, []).append(architecture)
    for (one, other), names in alike.items():
        if one != other:
            where = "" if len(names) == len(architectures) > 1 else f" ({', '.join(names)})"
            yield Difference(what + where, one, other)
