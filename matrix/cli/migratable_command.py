"""``matrix migratable``: which guests may go from one QEMU to another, and back."""

import asyncio
import json as json_module
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, starmap, zip_longest
from pathlib import Path
from typing import Any, assert_never

from matrix.cli.arguments import Execution
from matrix.cli.migratable_page import guest_text, page
from matrix.cli.proving import Proof, prove
from matrix.cli.steps import Steps
from matrix.errors import ExitCode, NothingSelected, UsageError
from matrix.hosts.cache import Cache, cache_directory
from matrix.hosts.host_facts import read_host
from matrix.hosts.installations import Installation, installations
from matrix.hosts.kvm_features import read_features
from matrix.hosts.project import load_settings
from matrix.hosts.survey import take_inventory
from matrix.hosts.wanted import Wanted
from matrix.inventory import Binary
from matrix.migratable.doctor_file import is_recorded, recorded, recorded_features
from matrix.migratable.grid import Question, answer
from matrix.migratable.prediction import Answer, Prediction
from matrix.model import Architecture
from matrix.places import expanded
from matrix.results.files import shown, written_as_told
from matrix.results.printable import display_width, printable, shown_json
from matrix.run.option_values import architecture_named
from matrix.run.options import Selection

WIDTH = 80


def run_migratable(
    sides: tuple[str, str],
    selection: Selection,
    execution: Execution,
    *,
    machines: Sequence[str],
    cpus: Sequence[str],
    compare_only: bool,
    proving: bool,
    html: Path | None,
    json: bool,
) -> ExitCode:
    """Print the answers; with ``proving``, what real hops come to, too. ``html`` is a file to write
    them to, besides.

    Raises:
        UsageError: a QEMU, an architecture, a machine or a CPU model is not there, or an option
            is for hops and none are made.
        NothingSelected: nothing is left to be asked.
        HostError: the page cannot be written.
    """
    options, (source, destination) = _named(sides, selection)
    files = _files(sides, execution, proving=proving)
    question = Question(
        source,
        destination,
        tuple(architecture_named("--arch", name) for name in selection.arch),
        tuple(machines),
        tuple(cpus),
        loading=not compare_only,
        fresh=selection.fresh,
    )
    settings = load_settings(selection.host)
    predictions = _answers(question, installations(options, settings), files)
    if not predictions:
        raise NothingSelected("no guest is left by the given options")
    proofs: list[Proof] = []
    code = ExitCode.OK
    if proving:
        proofs, code = prove(predictions, options, selection.host, execution.output, execution.jobs)
    if json:
        found = [prediction_json(*each) for each in zip_longest(predictions, proofs)]
        print(shown_json(json_module.dumps(found, indent=2)))
    else:
        print("\n".join((*table(predictions, proofs), *summary(predictions, proofs))), flush=True)
    if html is not None:  # which may fail
        told = page(predictions, proofs, "; ".join(summary(predictions, proofs)))
        with written_as_told(html) as file:
            file.write(told.encode("utf-8", "replace"))
    return exit_code(predictions, proofs, code)


def _files(sides: Sequence[str], execution: Execution, *, proving: bool) -> tuple[Binary, ...]:
    """The emulators of those sides that are files.

    Raises:
        UsageError: one is none, or there are options that do not go together.
    """
    if not proving and execution != Execution():
        raise UsageError("-o and -j are for the hops that --prove makes")
    if execution.output is not None and execution.output.exists():
        raise UsageError(f"{shown(execution.output)} exists; name another folder with -o")
    files = [side for side in dict.fromkeys(sides) if is_recorded(side)]
    if files and proving:
        raise UsageError(f"--prove makes hops on this host, and {files[0]} is a file of one")
    return tuple(binary for side in files for binary in recorded(side))


def exit_code(
    predictions: Sequence[Prediction], proofs: Sequence[Proof], code: ExitCode
) -> ExitCode:
    """What the command ends with; ``code`` is that of the run that has made the hops.

    Hops that were to be made and were not have proved nothing.
    """
    if code is ExitCode.INTERRUPTED:
        return code
    if any(starmap(Proof.contradicts, zip(proofs, predictions, strict=False))):
        return ExitCode.NOT_PASSED
    if code is ExitCode.ERROR:
        return code
    proved = not proofs or any(proof.gone is not None for proof in proofs)
    return ExitCode.OK if proved else ExitCode.NOTHING_SELECTED


def _answers(
    question: Question, installed: Sequence[Installation], files: tuple[Binary, ...]
) -> tuple[Prediction, ...]:
    names = [installation.name for installation in installed]
    there = {binary.qemu for binary in files}
    sides = [
        each for each in dict.fromkeys((question.source, question.destination)) if each not in there
    ]
    for name in sides:
        if name not in names:
            listed = ", ".join(names)
            raise UsageError(f"no such QEMU: {name!r}; there are {listed}, NAME=DIR or a folder")
    host, cache, steps = read_host(), Cache(cache_directory()), Steps()
    features = {side: recorded_features(side) for side in there}
    if features:
        features |= dict.fromkeys(sides, read_features(host.host))
    wanted = [
        Wanted(name, architecture)
        for name in sides
        for architecture in question.architectures or tuple(Architecture)
    ]

    async def ask() -> tuple[Prediction, ...]:
        inventory = await take_inventory(
            installed, wanted, fresh=question.fresh, on_step=steps, host=host, cache=cache
        )
        inventory = replace(inventory, binaries=(*inventory.binaries, *files))
        return await answer(question, inventory, host, cache, steps, features)

    return asyncio.run(ask())


def _named(sides: tuple[str, str], selection: Selection) -> tuple[tuple[str, ...], list[str]]:
    """All ``--qemu`` options, those among the sides too, and the names of the sides."""
    options, names = list(selection.qemu), []
    for side in sides:
        if is_recorded(side):
            names.append(side)
            continue
        option = side
        if "=" not in side and ("/" in side or side in (".", "..")):
            folder = expanded(side).resolve()
            name = folder.parent.name if folder.name == "bin" else folder.name
            option = f"{name}={side}"
        if "=" in option and option not in options:
            options.append(option)
        names.append(option.partition("=")[0])
    return tuple(options), names


def prediction_json(prediction: Prediction, proof: Proof | None) -> dict[str, Any]:
    """A prediction as ``--json`` has it."""
    found: dict[str, Any] = {
        "source": prediction.source,
        "destination": prediction.destination,
        "arch": prediction.guest.architecture.value,
        "machine": prediction.guest.machine,
        "cpu": prediction.cpu,
        "answer": prediction.answer.value,
        "reason": prediction.reason,
        "evidence": list(prediction.evidence),
        "accelerator": prediction.accelerator.value,
    }
    if proof is not None:
        found["hop"] = {"gone": proof.gone, "reason": proof.reason}
        found["contradicted"] = proof.contradicts(prediction)
    return found


def table(predictions: Sequence[Prediction], proofs: Sequence[Proof]) -> Iterator[str]:
    """The lines of the table: guests, and below each the directions with their answers, and below
    those what a hop says otherwise."""
    ways = [f"{each.source} → {each.destination}" for each in predictions]
    width = max(map(display_width, ways))
    rows = zip_longest(predictions, ways, proofs)
    for _, group in groupby(rows, lambda row: row[0].guest):
        each = list(group)
        yield printable(guest_text(each[0][0]))
        for prediction, way, proof in each:
            yield from _wrapped(
                way, width, ": ".join(filter(None, (prediction.answer, prediction.reason)))
            )
            if proof is not None and (proof.contradicts(prediction) or proof.gone is None):
                yield from _wrapped("", width, f"{_hop(proof)}: {proof.reason}".removesuffix(": "))


def _wrapped(way: str, width: int, said: str) -> list[str]:
    return textwrap.wrap(
        printable(said),
        WIDTH,
        initial_indent=f"  {way}{' ' * (width - display_width(way))}  ",
        subsequent_indent=" " * (width + 6),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _hop(proof: Proof) -> str:
    match proof.gone:
        case True:
            return "BUT it went"
        case False:
            return "BUT it did not go"
        case None:
            return "not proved"
        case _:
            assert_never(proof.gone)


def summary(predictions: Sequence[Prediction], proofs: Sequence[Proof]) -> Iterator[str]:
    """The last lines: how many answers of each kind, and how many hops said otherwise."""
    counts = Counter(prediction.answer for prediction in predictions)
    yield ", ".join(f"{counts[answer]} {answer}" for answer in Answer if counts[answer])
    if proofs:
        made = sum(proof.gone is not None for proof in proofs)
        wrong = sum(starmap(Proof.contradicts, zip(proofs, predictions, strict=True)))
        yield f"{made} hops made, {wrong} of them contradict the prediction"
