"""A file of known failures → its entries as plain data, or everything that is wrong with it.

    format: 2
    expect:
      - cases: [debug, "pmu-*"]
        accel: [tcg]
        qemu: ">=7.2,<10.1"
        reason: "…"

The format is pydantic models, and read as a scenario is: the same YAML, places and wording, and all
problems at once.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from matrix.errors import Place, Problem
from matrix.model import (
    Accelerator,
    AcceleratorLabel,
    Architecture,
    BootFirmware,
    Endian,
    Expectation,
)
from matrix.scenario import document, validation, values
from matrix.scenario.document import node_at
from matrix.scenario.fields import EACH_ONCE, Section, Texts, annotated, one_of_names, one_or_more
from matrix.scenario.scenario import KnownFailure
from matrix.scenario.schema import Prose, schema_of
from matrix.scenario.values import Shape
from matrix.scenario.wording import Refused, one_of, quoted
from matrix.verdicts import KNOWABLE, Verdict
from matrix.versions import RANGE_PATTERN, VersionRange, parse_range, version_of

MAX_EXPECTATIONS = 5000
"""The most entries of one file."""

FORMAT = 2
"""What is written. In format 1, that of files that do not say, ``kvm`` is also that of virtual
hosts."""

VERDICTS = (*KNOWABLE, Verdict.PASS)

_parse_accelerator = values.names_parser(AcceleratorLabel, "is not an accelerator")
_FORMAT_SHAPE: Shape = {"type": "integer", "enum": list(range(1, FORMAT + 1))}
_RANGE_SHAPE: Shape = {"type": "string", "pattern": RANGE_PATTERN}
_REASON_SHAPE: Shape = {**values.PROSE_SHAPE, "pattern": r"\S"}
_NOT_VIRTUAL: dict[str, Any] = {"not": {"contains": {"const": AcceleratorLabel.VIRTUAL_KVM.value}}}
_RANGE_ALLOWED = "as in '>=7.2,<10.1' or '==7.2'"


def parse_format(text: str) -> int:
    """The version of the format.

    Raises:
        Refused: another text.
    """
    known = [str(each) for each in _FORMAT_SHAPE["enum"]]
    if text not in known:
        raise Refused(f"{quoted(text)} is not a version of the format", one_of(text, known))
    return int(text)


def parse_accelerator(text: str) -> AcceleratorLabel:
    """What a case really runs under, which is never ``auto``.

    Raises:
        Refused: another text.
    """
    if text == Accelerator.AUTO:
        names = ", ".join(AcceleratorLabel)
        raise Refused("'auto' becomes kvm or tcg", f"name that; allowed: {names}")
    return _parse_accelerator(text)


def parse_versions(text: str) -> VersionRange:
    """A range of versions.

    Raises:
        Refused: it is none, or no version is in it.
    """
    try:
        return parse_range(text)
    except ValueError as error:
        message = f"{quoted(text)} is not a range of versions: {error}"
    version = text.strip().removesuffix(".*").strip("=^~ ")
    meant = version.replace(".", "").isdecimal() and version_of(version) is not None
    raise Refused(message, f"did you mean '=={version}'?" if meant else _RANGE_ALLOWED)


def parse_reason(text: str) -> str:
    """Why a failure is known, of any number of lines, as one.

    Raises:
        Refused: empty, too long, or with characters that do not print.
    """
    reason = " ".join(values.parse_prose(text).split())
    if not reason:
        raise Refused("is empty", "say why it fails, and where that is tracked")
    return reason


def _fails(verdicts: list[Verdict]) -> list[Verdict]:
    if verdicts == [Verdict.PASS]:
        names = ", ".join(verdict.value for verdict in KNOWABLE)
        raise Refused("a pass alone is not a failure", f"add at least one of {names}")
    return verdicts


KnownLimit = Annotated[float, *annotated(values.parse_limit, values.DURATION_SHAPE)]
Reason = Annotated[str, *annotated(parse_reason, _REASON_SHAPE)]
OneRange = Annotated[VersionRange, *annotated(parse_versions, _RANGE_SHAPE)]
Ranges = Annotated[list[OneRange], *one_or_more(_RANGE_SHAPE)]
OneArchitecture = Annotated[Architecture, *annotated(values.parse_arch, values.ARCH_SHAPE)]
OneAccelerator = Annotated[
    AcceleratorLabel, *annotated(parse_accelerator, values.names_shape(AcceleratorLabel))
]
OneFirmware = Annotated[
    BootFirmware, *one_of_names(tuple(BootFirmware), "is no firmware of a build")
]
OneEndian = Annotated[Endian, *one_of_names(tuple(Endian), "is no byte order")]
OneVerdict = Annotated[Verdict, *one_of_names(VERDICTS, "is not how a known failure ends")]
Verdicts = Annotated[
    list[OneVerdict],
    *EACH_ONCE,
    AfterValidator(_fails),
    Field(json_schema_extra={"not": {"const": ["pass"]}}),
]


class ExpectationSection(Section):
    """One known failure. Of the values of a key one is enough; of the keys all must hold."""

    cases: Texts = Field(
        description="Names of tests; *, ? and [...] match as in a shell. One with a '.' may be "
        "the id of a case."
    )
    arch: Annotated[list[OneArchitecture], *EACH_ONCE] | None = Field(
        None, description="Guest architectures."
    )
    accel: Annotated[list[OneAccelerator], *EACH_ONCE] | None = Field(
        None,
        description="What the case really runs under, also where it was asked for as auto. 'kvm "
        "(virtual)' is the KVM of virtual hosts; in a file without 'format: 2' kvm is both.",
    )
    qemu: Ranges | None = Field(
        None, description="Versions of QEMU, as in '>=7.2,<10.1'; '==7.2' is all of 7.2."
    )
    host_kernel: Ranges | None = Field(
        None, description="Versions of the host's kernel, written as those of QEMU."
    )
    cpu_vendor: Texts | None = Field(
        None, description="Vendors of the host's CPU as /proc/cpuinfo names them: GenuineIntel."
    )
    firmware: Annotated[list[OneFirmware], *EACH_ONCE] | None = Field(
        None,
        description="What starts the images: uefi for builds with --enable-efi, else default.",
    )
    endian: Annotated[list[OneEndian], *EACH_ONCE] | None = Field(
        None, description="Byte orders of the build's guests."
    )
    verdicts: Verdicts | None = Field(
        None,
        description="How it ends. Default: fail alone. With pass among them it fails only "
        "sometimes.",
    )
    subtests: Texts | None = Field(
        None,
        description="Names of the subtests whose failures are known, with *, ? and [...]: when "
        "another one fails, that is a failure.",
    )
    seen: Texts | None = Field(
        None,
        description="What the reason that a run gives for the failure has in it, with *, ? and "
        "[...]: when it has not, that is a failure.",
    )
    hops: Texts | None = Field(
        None,
        description="Reasons of hops that are known to end badly, with *, ? and [...]. Such an "
        "entry is about these hops alone: the guest has to end as it does without them.",
    )
    known_limit: KnownLimit | None = Field(
        None,
        description="Time that is enough to see that it times out, as in 10s: it is ended then, "
        "unless --full is given. For entries with timeout among their verdicts.",
    )
    reason: Reason = Field(description="Why it fails; shown wherever the case is.")

    @model_validator(mode="after")
    def _limits_a_timeout(self) -> "ExpectationSection":
        if self.known_limit is None:
            return self
        where = ("known_limit",)
        if Verdict.TIMEOUT not in (self.verdicts or ()):
            raise Refused("is for a known timeout", "add timeout to its verdicts", where)
        for name in ("hops", "subtests"):
            if getattr(self, name):
                raise Refused(
                    f"is for a whole guest, and {name} are parts", "drop one of the two", where
                )
        return self


class ExpectationsSection(Section):
    """Known failures: a case that fails as an entry says is no failure."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"not": {"properties": {"format": {"const": FORMAT}}, "required": ["format"]}},
            "then": {"properties": {"expect": {"items": {"properties": {"accel": _NOT_VIRTUAL}}}}},
        }
    )
    format: Annotated[int, *annotated(parse_format, _FORMAT_SHAPE)] = Field(
        1,
        description="2 for what this page says. Files without it are of format 1, in which kvm "
        "is also that of virtual hosts.",
    )
    suite_revision: Prose | None = Field(
        None,
        description="Of the suite that the file was made for. In a file that says so, a name that "
        "no test has is no typo: users have other revisions.",
    )
    expect: Annotated[list[ExpectationSection], Field(max_length=MAX_EXPECTATIONS)] = Field(
        description="The known failures."
    )

    @model_validator(mode="after")
    def _knows_the_accelerators(self) -> "ExpectationsSection":
        if self.format == 1:
            for index, entry in enumerate(self.expect):
                if entry.accel and AcceleratorLabel.VIRTUAL_KVM in entry.accel:
                    place = entry.accel.index(AcceleratorLabel.VIRTUAL_KVM)
                    raise Refused(
                        f"{quoted(AcceleratorLabel.VIRTUAL_KVM)} is of format {FORMAT}",
                        f"write 'format: {FORMAT}' at the top; kvm is then a machine's own alone",
                        ("expect", index, "accel", place),
                    )
        return self


def expectations_schema() -> dict[str, Any]:
    """The JSON Schema of a file of known failures, for editors."""
    return schema_of(ExpectationsSection, "matrix known failures")


def read_expectations(
    data: bytes, file: str
) -> tuple[tuple[KnownFailure, ...], tuple[Problem, ...]]:
    """The known failures in ``data``, or the problems that it has; ``file`` is its name.

    Nothing is raised, whatever the bytes.
    """
    root, found = document.parse_document(data, file)
    if root is None:
        return (), found
    whole, findings = validation.check(root, ExpectationsSection)
    problems = dict.fromkeys(
        [*found, *(finding.problem for finding in findings if finding.problem)]
    )
    if problems or whole is None:
        return (), tuple(problems)
    known = []
    for index, section in enumerate(whole.expect):
        entry = node_at(root, ("expect", index)) or root
        nodes = [node_at(entry, ("cases", number)) for number in range(len(section.cases))]
        places = tuple((node or entry).place for node in nodes)
        known.append(
            KnownFailure(
                _expectation(section, entry.place, whole.format), places, whole.suite_revision or ""
            )
        )
    return tuple(known), ()


def _expectation(section: ExpectationSection, place: Place, version: int) -> Expectation:
    given = {
        name: tuple(value)
        for name, value in section
        if isinstance(value, list)  # what is not given is None, and has its default
    }
    if version == 1 and AcceleratorLabel.KVM in given.get("accel", ()):
        given["accel"] = (*given["accel"], AcceleratorLabel.VIRTUAL_KVM)
    where = f"{place.file}:{place.line}".encode(errors="backslashreplace").decode()
    return Expectation(place=where, reason=section.reason, known_limit=section.known_limit, **given)
