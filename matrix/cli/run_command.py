"""``matrix run``: a new run, or the rest of one that was ended."""

import shlex
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.cli import report_command
from matrix.cli.arguments import Execution
from matrix.cli.history import history_of_run, save_to_history
from matrix.cli.plain_progress import PlainProgress
from matrix.cli.requiring import required_of
from matrix.cli.reusing import reuse_lines, take_over
from matrix.cli.standard_output import Output, is_live, standard_output
from matrix.cli.steps import Steps, say
from matrix.errors import ExitCode, UsageError
from matrix.hosts.case_inputs import CaseInputs
from matrix.hosts.installations import installations
from matrix.hosts.interface import Host
from matrix.hosts.local.executor import LocalHost
from matrix.hosts.project import load_settings
from matrix.inventory import Inventory
from matrix.plan.decisions import LOCAL, VIRTUAL, Decision, Run
from matrix.plan.early_end import end_early, may_end_early
from matrix.plan.schedule import Capacity
from matrix.results.directory import RunDirectory
from matrix.results.history.durations import longest_passes
from matrix.results.history.place import Database
from matrix.results.journal import EventName
from matrix.results.outcome import WORST_FIRST, counts_as_failure
from matrix.results.printable import printable
from matrix.results.recorder import Recorder
from matrix.results.run_info import ScenarioSource, run_info
from matrix.results.run_record import RunRecord
from matrix.results.segments import Line, Style, line
from matrix.run.capacity import capacity_of, too_few_files
from matrix.run.host_care import HostRules
from matrix.run.options import Selection, with_defaults
from matrix.run.prepare import Prepared, look, prepare
from matrix.run.progress import CompositeProgress, Progress
from matrix.run.rerun import FLEET, VIRTUAL_HOSTS, kept_options, replayed, was_strict
from matrix.run.reuse import Reuse, check_reuse, choose
from matrix.run.runner import execute
from matrix.run.session import NOTHING

if TYPE_CHECKING:
    from matrix.hosts.fleet.joining import Joined
    from matrix.hosts.virtual.starter import Settings
    from matrix.hosts.workers.spares import Spare


def start_run(
    selection: Selection,
    execution: Execution,
    others: Sequence[Host] = (),
    only: Collection[str] | None = None,
) -> ExitCode:
    """Plan, run, summarise and record; gives the command's exit code.

    ``others`` are hosts beside this machine that cases may run on. ``only`` names the options that
    a project file may say; None for all.
    """
    check_reuse(selection)
    settings = load_settings(selection.host)
    selection = replayed(selection, settings.defaults, only)
    if execution.strict is None:
        execution = replace(execution, strict=was_strict(selection))
    execution = with_defaults(execution, settings.defaults, only)
    history = history_of_run(execution.database, off=execution.no_history)
    with _spare_workers(selection.fleet, execution.workers) as spares:
        required = required_of(selection)
        prepared = prepare(
            selection, Steps(), others, say, settings, predict=not selection.no_predict
        )
        return _run_planned(prepared, selection, execution, history, required, spares)


def _run_planned(
    prepared: Prepared,
    selection: Selection,
    execution: Execution,
    history: Database | None,
    required: dict[str, object],
    spares: "list[Spare]",
) -> ExitCode:
    """The rest of a new run, from its plan on."""
    names = [scenario.name for scenario in prepared.scenarios]
    path = execution.output or RunDirectory.default_path(names)
    info = run_info(
        sources(prepared),
        prepared.inventory,
        others={host.name: host.inventory for host in prepared.others},
        arguments=tuple(sys.argv[1:]),
        options=required | _options(selection, execution, prepared, path),
    )
    decisions = prepared.decisions
    if not selection.full:
        waited_for = [each for each in decisions if isinstance(each, Run) and may_end_early(each)]
        labels = {each.case.id: each.accelerator_label for each in waited_for}
        decisions = list(end_early(decisions, longest_passes(history, labels)))
    others = _with_jobs(prepared.others, execution) if prepared.fleet else prepared.others
    inputs = CaseInputs(prepared.inventory)
    inputs.learn(decisions)
    reuse = _reused(selection, execution, decisions, inputs, path, history)
    with Recorder.start(path, info, decisions) as recorder:
        take_over(recorder, reuse, decisions)
        return _carry_out(
            recorder,
            prepared.inventory,
            others,
            execution,
            history,
            prepared.fleet,
            inputs,
            reuse.reasons,
            spares,
        )


@contextmanager
def _spare_workers(fleet: Path | None, count: int | None) -> "Iterator[list[Spare]]":
    """Local workers that are there before the plan is; none where there are to be none."""
    if fleet is not None or not count:
        yield []
        return
    from matrix.hosts.workers.spares import spare_workers  # most runs have none

    with spare_workers(count) as spares:
        yield spares


def _options(
    selection: Selection, execution: Execution, prepared: Prepared, path: Path
) -> dict[str, object]:
    """What ``run.json`` keeps of how the run was asked for, to resume it or to run it again."""
    return {
        "strict": bool(execution.strict),
        "jobs": execution.jobs,
        "workers": execution.workers,
        "qemu": list(selection.qemu),
        "seed": execution.seed,
        "tap": execution.tap,
        **({VIRTUAL_HOSTS: prepared.virtual_hosts} if prepared.virtual_hosts else {}),
        **_kept_fleet(selection, prepared.fleet),
        **({} if selection.reuse is None else {"reuse": selection.reuse}),
        **kept_options(selection, path),
    }


def _reused(
    selection: Selection,
    execution: Execution,
    decisions: Sequence[Decision],
    inputs: CaseInputs,
    run: Path,
    history: Database | None,
) -> Reuse:
    """What is taken over from earlier runs, which is said."""
    if selection.reuse is None:
        return Reuse()
    reuse = choose(selection.reuse, decisions, inputs, run, history)
    output = standard_output()
    output.say(reuse_lines(reuse, output.width, verbose=execution.verbose))
    return reuse


def resume_run(
    path: Path, selection: Selection, execution: Execution, others: Sequence[Host] = ()
) -> ExitCode:
    """Run what is left of a run, and record it; gives the command's exit code.

    ``others`` as :func:`start_run` has them. A case whose host is not there is an error.

    Raises:
        UsageError: an option was given that the run has settled.
    """
    _check_settled(selection, execution)
    history = history_of_run(execution.database, off=execution.no_history)
    with Recorder.resume(path) as recorder:
        options = recorder.record.info.options
        kept_qemu, qemu = options.get("qemu"), selection.qemu
        if not qemu and isinstance(kept_qemu, list):
            qemu = tuple(str(option) for option in kept_qemu)
        execution = _as_begun(execution, options)
        left = [
            decision.case
            for decision in recorder.record.decisions
            if _uses_qemu_here(decision) and recorder.attempts_left(decision.case)
        ]
        installed = installations(qemu, load_settings(selection.host))
        settings = _virtual_settings(options)
        inventory = look(
            left,
            installed,
            fresh=selection.fresh,
            on_step=Steps(),
            virtual={each.architecture for each in settings},
        )
        if settings:
            from matrix.hosts.virtual.choosing import virtual_hosts  # most runs have none

            decisions = recorder.record.decisions
            others = (*others, *virtual_hosts(settings, inventory, say, decisions))
        fleet = _joined_again(recorder)
        if fleet is not None:
            others = _with_jobs((*others, *fleet.hosts), execution)
        inputs = CaseInputs(inventory)
        inputs.learn(recorder.record.decision(case.id) for case in left)
        return _carry_out(recorder, inventory, others, execution, history, fleet, inputs)


def _check_settled(selection: Selection, execution: Execution) -> None:
    """Raises UsageError where an option is given that the run to be resumed has settled."""
    selected = replace(selection, qemu=(), host=None, fresh=False)
    settled = replace(execution, jobs=None, workers=None, database=None, no_history=False)
    settled = replace(settled, metrics="", fail_fast=False, max_failures=None)
    settled = replace(settled, verbose=False, quiet=False)
    if selected != Selection() or settled != Execution():
        raise UsageError(
            "--resume finishes a run as it was planned; beside it only -j, --workers, --qemu,"
            " --host, --fresh, --metrics, -x, --max-failures, -v, -q and the history's"
            " options are taken"
        )


def _with_jobs(hosts: Sequence[Host], execution: Execution) -> Sequence[Host]:
    from matrix.run.fleet_run import with_jobs

    return with_jobs(hosts, execution.jobs, execution.workers)


def _kept_fleet(selection: Selection, fleet: "Joined | None") -> dict[str, object]:
    if selection.fleet is None or fleet is None:
        return {}
    from matrix.run.fleet_run import kept_fleet

    return {FLEET: kept_fleet(selection.fleet, fleet)}


def _joined_again(recorder: Recorder) -> "Joined | None":
    """The fleet of a run that is resumed; None where it has none."""
    record = recorder.record
    kept = record.info.options.get(FLEET)
    if not isinstance(kept, Mapping):
        return None
    from matrix.run.fleet_run import join_again

    left = [each.case for each in record.decisions if recorder.attempts_left(each.case)]
    return join_again(kept, left, say)


def _as_begun(execution: Execution, options: Mapping[str, object]) -> Execution:
    """``execution`` with what a run was begun with, unless that is given anew."""
    jobs, workers, seed = map(options.get, ("jobs", "workers", "seed"))
    if execution.jobs is None and isinstance(jobs, int):
        execution = replace(execution, jobs=jobs)
    if execution.workers is None and isinstance(workers, int):
        execution = replace(execution, workers=workers)
    return replace(execution, seed=seed) if isinstance(seed, int) else execution


def _virtual_settings(options: Mapping[str, object]) -> "tuple[Settings, ...]":
    """Those of the virtual hosts that a run was planned with."""
    given = options.get(VIRTUAL_HOSTS)
    if not isinstance(given, list):
        return ()
    from matrix.hosts.virtual.host_options import parse_option

    return tuple(parse_option(str(each)) for each in given)


def _carry_out(
    recorder: Recorder,
    inventory: Inventory,
    others: Sequence[Host],
    execution: Execution,
    history: Database | None,
    fleet: "Joined | None",
    inputs: CaseInputs,
    not_reused: Mapping[str, str] = NOTHING,
    spares: "list[Spare] | None" = None,
) -> ExitCode:
    output = standard_output()
    ours = [each for each in recorder.record.decisions if _is_local(each)]
    few = too_few_files(ours, inventory.host, execution.jobs)
    if few is not None:
        print(f"matrix: {few}", file=sys.stderr)
    capacity = capacity_of(inventory.host, execution.jobs, few)
    told: set[str] = set()
    try:
        with (
            _served(execution.metrics, recorder) as served,
            _progress(output, recorder.run.given, execution, told) as shown,
        ):
            return execute(
                recorder,
                [
                    _this_machine(recorder, inputs, capacity, execution.workers, spares or []),
                    *others,
                ],
                CompositeProgress(shown, served) if served is not None else shown,
                history=history,
                seed=execution.seed,
                most_failures=execution.most_failures,
                rules=HostRules(fleet.quarantine, fleet.drained, fleet.notes) if fleet else None,
                inputs=inputs,
                not_reused=not_reused,
                later=report_command.LATER,
            )
    finally:
        inputs.save()
        from matrix.results.summary_text import record_summary  # loaded while guests run

        try:
            output.say(record_summary(recorder.record, output.width, told))
            output.say(next_commands(recorder.record))
        finally:
            save_to_history(recorder.record, history)
            report_command.write_report(recorder.record, history)


def _this_machine(
    recorder: Recorder,
    inputs: CaseInputs,
    capacity: Capacity,
    workers: int | None,
    spares: "list[Spare]",
) -> Host:
    if workers is None:
        return LocalHost(inputs.inventory, capacity)
    from matrix.hosts.workers.local_workers import LocalWorkers  # most runs have none

    def lost(why: str) -> None:
        say(f"{why}; its cases run again")
        recorder.note({"event": EventName.WORKER_LOST, "reason": why})

    common = inputs.common
    return LocalWorkers(inputs.inventory, capacity, workers, lost, common=common, spares=spares)


def _is_local(decision: Decision) -> bool:
    return isinstance(decision, Run) and decision.host == LOCAL


def _uses_qemu_here(decision: Decision) -> bool:
    """Whether it takes a QEMU of this machine: virtual hosts are guests of one."""
    if not isinstance(decision, Run):
        return False
    return decision.host == LOCAL or decision.host.startswith(VIRTUAL)


def next_commands(record: RunRecord) -> Iterator[Line]:
    """What whoever sees the end of a run will want to type: of one that did not pass all three."""
    bad = [
        (WORST_FIRST.index(verdict), decision.case.id)
        for decision in record.decisions
        if (verdict := record.verdict(decision.case.id))
        and counts_as_failure(verdict, strict=record.strict)
    ]
    run = shlex.quote(printable(str(record.run.given)))
    if bad:
        yield line(f"  matrix show {run} {printable(min(bad)[1])}", Style.FAINT)
        yield line(f"  matrix run --failed {run}", Style.FAINT)
    yield line(f"  matrix report {run}  # or open report.html there", Style.FAINT)


@contextmanager
def _served(address: str, recorder: Recorder) -> Iterator[Progress | None]:
    """What is counted for Prometheus at ``address``; None where there is none."""
    if not address:
        yield None
        return
    from matrix.run.metrics import Metrics

    with Metrics(address) as metrics:
        metrics.resume(recorder.record)
        yield metrics


@contextmanager
def _progress(
    output: Output, run: Path, execution: Execution, told: set[str]
) -> Iterator[Progress]:
    """Live on a terminal, plain lines elsewhere, or where those were asked for. ``told`` takes the
    ids of the cases whose failures are printed in full."""
    if is_live() and not (execution.verbose or execution.quiet):
        from matrix.cli.style import ColourOutput
        from matrix.cli.terminal import LiveProgress

        if isinstance(output, ColourOutput):
            with LiveProgress(output, run, told) as live:
                yield live
            return
    yield PlainProgress(output, run, told, verbose=execution.verbose, quiet=execution.quiet)


def sources(prepared: Prepared) -> tuple[ScenarioSource, ...]:
    """The scenarios of a run, as its ``run.json`` has them."""
    return tuple(
        ScenarioSource.of(scenario.name, scenario.source.file, text)
        for scenario, text in zip(prepared.scenarios, prepared.texts, strict=True)
    )
