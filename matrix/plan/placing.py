"""Which of several hosts a case is planned for, from what was decided for each. Pure.

Of the hosts that can run a case those are preferred that run it under KVM that is proven. Of
several such it goes to the one that has least to do for each of its CPUs, the longest case first,
as far as time limits tell; equal hosts are taken in their order. Those where it would be just the
same are kept in the decision: there it may go while the run goes on.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from matrix.errors import UsageError
from matrix.model import Accelerator
from matrix.plan.command import time_limit
from matrix.plan.decisions import LOCAL, Broken, Decision, Run
from matrix.scenario.wording import one_of, quoted


def hosts_on(words: Collection[str], called: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The hosts that ``--on`` names, by name, tag or architecture; in their order.

    Args:
        words: what was given; nothing: all hosts.
        called: host → everything that it is called by.

    Raises:
        UsageError: a word is no host's.
    """
    known = list(dict.fromkeys((*called, *(each for names in called.values() for each in names))))
    for word in words:
        if word not in known:
            raise UsageError(
                f"--on {word}: no host is called {quoted(word)}; {one_of(word, known)}"
            )
    return tuple(
        name for name, names in called.items() if not (words and {name, *names}.isdisjoint(words))
    )


def place(
    everywhere: Iterable[Mapping[str, Decision]], cpus: Mapping[str, int]
) -> Iterator[Decision]:
    """Choose a host for every case.

    Args:
        everywhere: what is decided of each case, by host.
        cpus: of each host.
    """
    cases = [preferred(each) for each in everywhere]
    work = dict.fromkeys(cpus, 0.0)
    placed: dict[int, Decision] = {}
    for index in sorted(range(len(cases)), key=lambda index: -_length(cases[index])):
        runs = [each for each in cases[index].values() if isinstance(each, Run)]
        if not runs:
            placed[index] = only(cases[index])
            continue
        run = min(runs, key=lambda run: max(work[name] for name in run.hosts))
        same = [each for each in runs if each is not run and _same(each, run)]
        placed[index] = _with_others(run, same) if same else run
        for name in run.hosts:
            work[name] += time_limit(run.case) * run.vcpus / cpus[name]
    return (placed[index] for index in range(len(cases)))


def hosts_of_attempt(
    decision: Run, number: int, failed_on: Collection[tuple[str, ...]] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """On which hosts an attempt is to run, as of :attr:`Run.hosts`, and on which else it may.

    Args:
        decision: of its case.
        number: its own, from 1.
        failed_on: hosts where an earlier one did not pass: a retry goes to others, if any.
    """
    ways = (decision.hosts, *((name,) for name, _ in decision.elsewhere), *decision.other_gangs)
    if decision.case.settings.spread:
        return ways[(number - 1) % len(ways)], ()
    if decision.gang:
        tried = {host for hosts in failed_on for host in hosts}
        return min(ways, key=lambda way: (way in failed_on, len(tried.intersection(way)))), ()
    first, *others = [way for way in ways if way not in failed_on] or ways
    return first, tuple(name for (name,) in others)


def only(decisions: Mapping[str, Decision]) -> Decision:
    """What comes of a case that one host can run, or none."""
    others = []
    for each in decisions.values():
        if isinstance(each, Run):
            return each
        others.append(each)
    first = next((each for each in others if isinstance(each, Broken)), others[0])
    reasons = dict.fromkeys(each.reason for each in others)
    if len(reasons) == 1:
        return first
    told = (f"{name}: {each.reason}" for name, each in zip(decisions, others, strict=True))
    return replace(first, reason="; ".join(told))


def preferred(decisions: Mapping[str, Decision]) -> Mapping[str, Decision]:
    """The hosts that run a case best, each with its name; all of them where none runs it."""
    runs = {name: each for name, each in decisions.items() if isinstance(each, Run)}
    best = min(map(_preference, runs.values()), default=0)
    best_runs = {
        name: each if name == LOCAL or each.gang else replace(each, host=name)
        for name, each in runs.items()
        if _preference(each) == best
    }
    return best_runs or decisions


def _preference(decision: Run) -> int:
    """The less the better."""
    if decision.accelerator is Accelerator.TCG:
        return 1
    return 2 if decision.kvm_doubt else 0


def _length(decisions: Mapping[str, Decision]) -> float:
    decision = next(iter(decisions.values()))
    return time_limit(decision.case) if isinstance(decision, Run) else 0.0


def _same(one: Run, other: Run) -> bool:
    """Whether it is the same on other hosts, of which each takes as many."""
    if len(one.gang) != len(other.gang):
        return False
    return replace(one, host=other.host, gang=other.gang, why=other.why) == other


def _with_others(run: Run, same: list[Run]) -> Run:
    if run.gang:
        return replace(run, other_gangs=tuple(each.hosts for each in same))
    return replace(run, elsewhere=tuple((each.host, each.why) for each in same))
