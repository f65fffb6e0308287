"""What the hops of a run came to, for people: totals, and each case's statistics.

Of cases that are still being migrated the hops that are on disk count, so that a soak can be looked
at while it runs.
"""

from collections.abc import Iterable, Iterator

from matrix.migrating import MigrationSummary, Statistic, seed_of
from matrix.plan.attempts import most_attempts
from matrix.results.printable import printable, shortened
from matrix.results.run_record import RunRecord
from matrix.results.segments import BLANK, Line, Style, line, wrapped

MOST_CASES = 6
"""How many cases' statistics a summary shows; ``matrix show RUN CASE`` shows any one's."""
SHOWN = (
    "downtime",
    "stop-to-resume",
    "clock-bound",
    "blackout",
    "silence",
    "clock-jump",
    "total-time",
    "transferred",
    "passes",
    "dirty-rate",
    "throughput",
    "throttle",
    "requests",
    "in-flight",
)
"""Quantities in the order in which they are shown."""
MOST_DEVICES = 10
"""Devices that are shown: those that take longest."""
NAME_WIDTH = 28
"""Columns for a device's name."""
_COLUMNS = {"min": "min", "p50": "median", "p90": "p90", "p99": "p99", "max": "max"}
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def hop_lines(cases: Iterable[tuple[str, MigrationSummary]], width: int) -> Iterator[Line]:
    """A summary's section on hops; nothing where no guest was migrated.

    Args:
        cases: id and what its hops came to, of each case that was migrated.
        width: columns to keep to.
    """
    kept: list[tuple[str, MigrationSummary]] = []
    count = hops = completed = expected = bad = 0
    for case_id, summary in cases:
        count += 1
        hops += summary.hops
        completed += summary.completed
        expected += summary.as_expected
        bad += summary.bad
        if len(kept) <= MOST_CASES:
            kept.append((case_id, summary))
    if not count:
        return
    yield BLANK
    yield (
        ("Migration: ", Style.HEADING),
        (f"{_counted(hops, 'hop')} of {_counted(count, 'guest')}: ", Style.PLAIN),
        (f"{completed:,} completed", Style.PASS),
        (f", {expected:,} with a fault as expected" if expected else "", Style.PLAIN),
        (f", {bad:,} bad" if bad else ", none bad", Style.FAIL if bad else Style.PLAIN),
    )
    if count <= MOST_CASES:
        for case_id, summary in kept:
            yield line(f"  {case_id}")
            yield from summary_lines(summary, width)


def summary_lines(summary: MigrationSummary, width: int) -> Iterator[Line]:
    """One case's hops: how many, how fast, the statistics, and the limits that did not hold."""
    rate = "rate not measured"
    if summary.seconds:
        rate = f"{summary.completed * 60 / summary.seconds:.1f} per minute"
    told = f"{summary.hops:,} hops, {summary.completed:,} completed, {rate}; seed {summary.seed}"
    yield from wrapped(told, width, "    ")
    found = {each.name: each for each in summary.statistics}
    if found:
        head = "".join(f"{title:>10}" for title in _COLUMNS.values())
        yield line(f"    {'':15}{'hops':>9}{head}", Style.FAINT)
    for name in SHOWN:
        if name in found:
            yield _row(found[name])
    for broken in summary.broken:
        yield from wrapped(f"limit broken: {broken}", width, " " * 6, Style.FAIL, first="    ")
    yield from device_lines(summary, width)


def device_lines(summary: MigrationSummary, width: int) -> Iterator[Line]:
    """A table of devices, those that take longest first; and which QEMUs tell of none."""
    devices = _by_device(summary)
    if devices:
        head = "".join(f"{title:>10}" for title in ("median", "max") * 2)
        yield line(f"    {'state of':{NAME_WIDTH}}{'saved in':>20}{'loaded in':>20}", Style.FAINT)
        yield line(f"    {'':{NAME_WIDTH}}{head}", Style.FAINT)
    shown = sorted(devices, key=lambda name: -_median(*devices[name]))
    for name in shown[:MOST_DEVICES]:
        cells = "".join(map(_cells, devices[name]))
        yield line(f"    {shortened(printable(name), NAME_WIDTH - 1):{NAME_WIDTH}}{cells}")
    if rest := shown[MOST_DEVICES:]:
        seconds = quantity(sum(_median(*devices[name]) for name in rest), "s")
        yield line(f"    and {len(rest)} more, whose medians add up to {seconds}", Style.FAINT)
    for why in summary.untraced:
        yield from wrapped(f"not told by device: {why}", width, " " * 6, first="    ")


def running_summaries(record: RunRecord) -> Iterator[tuple[str, MigrationSummary]]:
    """What the hops on disk come to of each case whose migrations are not over."""
    for case_id, number in record.in_flight():
        case = record.decision(case_id).case
        if case.migration is None:
            continue
        from matrix.migration.folding import HOPS_FILE  # most runs migrate nothing
        from matrix.migration.hop_records import read_statistics

        folder = record.run.case_folder(case_id)
        if most_attempts(case.settings) > 1:
            folder /= str(number)
        path = folder / HOPS_FILE
        if path.is_file():
            try:
                statistics, seconds, _ = read_statistics(path, case.migration.limits)
            except (OSError, ValueError):
                continue  # a stranger's: there is nothing to be said of it
            chosen = record.info.options.get("seed")
            seed = chosen if isinstance(chosen, int) else seed_of(case_id, number)
            yield case_id, statistics.summary(seed, seconds)


def _by_device(summary: MigrationSummary) -> dict[str, tuple[Statistic | None, Statistic | None]]:
    """Of each device how long it was saved and loaded."""
    found = {each.name: each for each in summary.devices}
    names = dict.fromkeys(name.rpartition(" ")[0] for name in found)
    return {name: (found.get(f"{name} save"), found.get(f"{name} load")) for name in names}


def _median(*times: Statistic | None) -> float:
    return sum(each.p50 for each in times if each is not None)


def _cells(statistic: Statistic | None) -> str:
    if statistic is None:
        return f"{'-':>10}" * 2
    return f"{quantity(statistic.p50, 's'):>10}{quantity(statistic.max, 's'):>10}"


def _row(statistic: Statistic) -> Line:
    values = (getattr(statistic, name) for name in _COLUMNS)
    shown = ("-" if value is None else quantity(value, statistic.unit) for value in values)
    cells = "".join(f"{text:>10}" for text in shown)
    return line(f"    {printable(statistic.name):15}{statistic.count:>9,}{cells}")


def quantity(value: float, unit: str) -> str:
    """``3.2 ms``, ``64.1 MB/s``, ``240 MB/s``, ``7``: three digits that matter, in nine columns."""
    if unit == "s":
        if value and value < 1e-3:
            return f"{value * 1e6:.0f} us"
        return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"
    for factor, prefix in _PREFIXES if unit.startswith("B") else ():
        if value >= factor:
            scaled = value / factor
            return f"{scaled:.{0 if scaled >= 100 else 1}f} {prefix}{unit}"
    return f"{value:.0f} {unit}".rstrip()


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
