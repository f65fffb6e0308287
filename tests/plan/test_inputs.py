"""What a case's result follows from: one digest of it all, and what differs by name."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.migrating import Migration
from matrix.model import Accelerator, ExitChannel, Expectation, Launch, RunSettings, Target
from matrix.plan.decisions import Run
from matrix.plan.inputs import (
    DIGITS,
    Input,
    Inputs,
    Surroundings,
    changed,
    changed_words,
    digest_of,
    inputs_of,
    paths_in,
    why_never,
)
from matrix.verdicts import Verdict
from tests import make

LAUNCH = Launch(("qemu", "-kernel", "1234/guest.flat"), ExitChannel.QEMU_EXIT)
AROUND = Surroundings("qemu", "libraries", "firmware", "environment", "host", "program")
KNOWN = Expectation("file.yaml:3", "it is known", ("boot",))


def planned(**changes: object) -> Run:
    """A decision with fields of its case's test, build or settings changed."""
    case = make.case(make.test(image="1234/guest.flat"))
    return make.run(replace(case, **changes))  # type: ignore[arg-type]  # fields by name


BASE = inputs_of(planned(), LAUNCH, AROUND)
CHANGES: dict[Input, Callable[[str], Inputs]] = {
    Input.IMAGE: lambda x: inputs_of(
        planned(test=make.test(image=f"{x}/guest.flat")), LAUNCH, AROUND
    ),
    Input.FILES: lambda x: inputs_of(
        planned(build=replace(make.build(), files=(("disk", x),))), LAUNCH, AROUND
    ),
    Input.INITRD: lambda x: inputs_of(planned(), LAUNCH, replace(AROUND, initrd=x)),
    Input.ARGUMENTS: lambda x: inputs_of(
        planned(), replace(LAUNCH, argv=(*LAUNCH.argv, x)), AROUND
    ),
    Input.ACCELERATOR: lambda _: inputs_of(
        replace(planned(), accelerator=Accelerator.KVM), LAUNCH, AROUND
    ),
    Input.QEMU: lambda x: inputs_of(planned(), LAUNCH, replace(AROUND, qemu=x)),
    Input.LIBRARIES: lambda x: inputs_of(planned(), LAUNCH, replace(AROUND, libraries=x)),
    Input.FIRMWARE: lambda x: inputs_of(planned(), LAUNCH, replace(AROUND, firmware=x)),
    Input.ENVIRONMENT: lambda x: inputs_of(planned(), LAUNCH, replace(AROUND, environment=x)),
    Input.HOST: lambda x: inputs_of(planned(), LAUNCH, replace(AROUND, host=x)),
    Input.LIMITS: lambda x: inputs_of(
        planned(settings=RunSettings(stall=20.5 + len(x))), LAUNCH, AROUND
    ),
    Input.EXPECTATIONS: lambda x: inputs_of(
        replace(planned(), expected=(replace(KNOWN, reason=x),)), LAUNCH, AROUND
    ),
    Input.PROGRAM: lambda x: inputs_of(planned(), LAUNCH, replace(AROUND, program=x)),
}


def test_every_input_is_changed_below() -> None:
    assert set(CHANGES) == set(Input)
    assert [name for name, _ in BASE] == [each.value for each in Input]


@pytest.mark.parametrize("which", Input)
@given(text=st.text(min_size=1).map(lambda text: f"new {text}"))
def test_one_input_changes_the_digest_and_is_named(which: Input, text: str) -> None:
    after = CHANGES[which](text)
    assert digest_of(after) != digest_of(BASE)
    assert changed(dict(BASE), dict(after)) == (which.value,)
    assert digest_of(after) == digest_of(CHANGES[which](text))


@given(order=st.permutations(BASE))
def test_the_digest_is_of_names_and_values_in_any_order(order: list[tuple[str, str]]) -> None:
    assert digest_of(order) == digest_of(BASE)
    assert len(digest_of(order)) == 64


def test_the_digest_is_stable() -> None:
    """It is compared with those of earlier versions: a change here needs another FORMAT."""
    assert digest_of([("image", "12")]) == (
        "64c65aefd89829aa36cccadc476a4b5faeee9b852248d6a086632f80fe413aaf"
    )
    assert digest_of(()) == ""
    assert {len(value) for name, value in BASE if name not in AROUND_NAMES} == {DIGITS}


AROUND_NAMES = {
    *(Input.QEMU, Input.LIBRARIES, Input.FIRMWARE, Input.ENVIRONMENT, Input.HOST, Input.PROGRAM)
}


def test_where_a_known_failure_is_written_is_no_input() -> None:
    decisions = [replace(planned(), expected=(replace(KNOWN, place=f"f:{n}"),)) for n in (1, 2)]
    one, other = (inputs_of(each, LAUNCH, AROUND) for each in decisions)
    assert one == other


def test_what_may_be_a_file_in_parameters() -> None:
    words = ("-drive", "file=disk.img,if=virtio", "-bios", "/usr/share/rom", "-cpu", "max,+x")
    assert paths_in(words) == ("disk.img", "/usr/share/rom")


def test_words() -> None:
    assert changed_words(["image"]) == "image changed"
    assert changed_words(["image", "QEMU"]) == "image and QEMU changed"
    assert changed_words(["image", "QEMU", "host"]) == "image, QEMU and host changed"
    assert changed({"image": "1", "new": "2"}, {"image": "1"}) == ("new",)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"migration": Migration()}, "its guest is migrated, and hops are measured"),
        ({"settings": RunSettings(alone=True)}, "it runs alone, to be measured"),
        ({"settings": RunSettings(repeat=2)}, "it is repeated"),
        ({"settings": RunSettings(until_fail=True)}, "it is repeated"),
        (
            {"test": replace(make.test(), dynamic=True)},
            "commands give its values anew each time",
        ),
        (
            {"build": make.build(target=Target.KVMTOOL)},
            "it runs by kvmtool, whose files are not known",
        ),
    ],
)
def test_what_is_never_reused(changes: dict[str, object], why: str) -> None:
    assert why_never(planned(**changes)) == why


def test_what_is_known_to_fail_sometimes_or_runs_elsewhere_is_never_reused() -> None:
    sometimes = replace(KNOWN, verdicts=(Verdict.FAIL, Verdict.PASS))
    decision = replace(planned(), expected=(sometimes,))
    assert why_never(decision) == "it is known to fail sometimes"
    assert why_never(replace(planned(), host="far")) == (
        "what host far runs it with is not known by content"
    )
