"""Which hosts of a run are not to be trusted any more, by what came of its attempts. Pure.

A host is quarantined after so many ``error`` in a row, or when so many cases fail there, and there
alone, that pass elsewhere. A guest that migrates has a way: all hosts that it is on. One of them is
to blame for its failures if all ways over it fail, and all others pass. The last host that is left
never is quarantined: it would say nothing of the cases.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from matrix.verdicts import Verdict

NAMED = 3
"""Cases that a reason names."""


@dataclass(frozen=True, slots=True)
class QuarantineRules:
    """When a host gets no more cases."""

    errors: int
    """So many ``error`` in a row."""
    failures: int
    """So many cases that fail there, and pass elsewhere."""
    prove_every: float = 86400.0
    """Seconds from one proof of a host to the next."""


Way = tuple[str, ...]
"""The host of an attempt; all of them where its guest migrates between hosts."""


@dataclass(slots=True)
class Tally:
    """What came of attempts on one host, or between the same ones."""

    passed: int = 0
    ended: int = 0


class Health:
    """What the attempts of a run say of its hosts."""

    def __init__(self, rules: QuarantineRules, hosts: Iterable[str]) -> None:
        self._rules = rules
        self._trusted = set(hosts)
        self._errors: dict[str, int] = {}
        self._cases: dict[Hashable, dict[Way, Tally]] = {}
        self._alone: dict[str, dict[Hashable, str]] = {}
        """By host, the cases that fail there alone, with their names."""

    def ended(
        self,
        case: Hashable,
        name: str,
        way: Way,
        verdict: Verdict,
        reason: str = "",
        *,
        blamed: str = "",
    ) -> list[tuple[str, str]]:
        """An attempt has ended.

        Args:
            case: the same on each host.
            name: what the case is called.
            way: where it ran.
            verdict: of the attempt.
            reason: of the verdict.
            blamed: of an error on several hosts the one that ended it; empty: nobody knows.

        Returns:
            The hosts that are quarantined by that, with the reason.
        """
        if verdict is Verdict.ERROR:
            host = blamed or (way[0] if len(way) == 1 else "")
            if not host:
                return []
            count = self._errors[host] = self._errors.get(host, 0) + 1
            if count < self._rules.errors:
                return []
            row = "an error" if count == 1 else f"{count} errors in a row, the last one"
            return self._quarantined({host: f"{row}: {reason}"})
        self._errors.update(dict.fromkeys(way, 0))
        if verdict is Verdict.SKIP:
            return []
        tallies = self._cases.setdefault(case, {})
        tally = tallies.setdefault(way, Tally())
        tally.passed += verdict.good
        tally.ended += 1
        self._compare(case, name, tallies)
        return self._quarantined(
            {each: self._told(each) for each, cases in self._alone.items() if self._too_many(cases)}
        )

    def distrust(self, host: str, why: str) -> list[tuple[str, str]]:
        """A host has not proven itself; what comes back is as in :meth:`ended`."""
        return self._quarantined({host: why})

    def trust(self, host: str) -> None:
        """A host has been proven: what came of attempts there before no longer counts."""
        self._trusted.add(host)
        self._errors[host] = 0
        self._alone.pop(host, None)
        for tallies in self._cases.values():
            for way in [each for each in tallies if host in each]:
                del tallies[way]

    def _compare(self, case: Hashable, name: str, tallies: dict[Way, Tally]) -> None:
        failing = _failing_alone(tallies)
        for host in dict.fromkeys(each for way in tallies for each in way):
            if host == failing:
                self._alone.setdefault(host, {})[case] = name
            else:
                self._alone.get(host, {}).pop(case, None)

    def _too_many(self, cases: dict[Hashable, str]) -> bool:
        return len(cases) >= self._rules.failures

    def _told(self, host: str) -> str:
        cases = self._alone[host]
        there, elsewhere = Tally(), Tally()
        for case in cases:
            for way, tally in self._cases[case].items():
                total = there if host in way else elsewhere
                total.passed += tally.passed
                total.ended += tally.ended
        names = ", ".join([*cases.values()][:NAMED]) + (", …" if len(cases) > NAMED else "")
        one = len(cases) == 1
        return (
            f"{'a case fails' if one else f'{len(cases)} cases fail'} on {host} "
            f"({there.passed}/{there.ended}), and {'passes' if one else 'pass'} elsewhere "
            f"({elsewhere.passed}/{elsewhere.ended}): {names}"
        )

    def _quarantined(self, found: dict[str, str]) -> list[tuple[str, str]]:
        new = []
        for host, why in found.items():
            if host in self._trusted and len(self._trusted) > 1:
                self._trusted.remove(host)
                new.append((host, f"quarantined: {why}"))
        return new


def _failing_alone(tallies: dict[Way, Tally]) -> str:
    """The one host where a case never passes, while it always does on others; empty for none."""
    if any(tally.passed not in (0, tally.ended) for tally in tallies.values()):
        return ""
    failing = [{*way} for way, tally in tallies.items() if not tally.passed]
    passing = {host for way, tally in tallies.items() if tally.passed for host in way}
    if not failing or not passing:
        return ""
    blamed = set.intersection(*failing) - passing
    return blamed.pop() if len(blamed) == 1 else ""


def difference(attempts: Iterable[tuple[Way, Verdict]]) -> str:
    """How hosts differ in a case, as ``fails on z1 (0/3), passes elsewhere (5/5)``; else empty.

    ``attempts`` are their ways and verdicts. An ``error`` says nothing of the case.
    """
    tallies: dict[Way, Tally] = {}
    for way, verdict in attempts:
        if verdict not in (Verdict.ERROR, Verdict.SKIP):
            tally = tallies.setdefault(way, Tally())
            tally.passed += verdict.good
            tally.ended += 1
    failing = {way: tally for way, tally in tallies.items() if not tally.passed}
    passing = [tally for tally in tallies.values() if tally.passed]
    if not failing or not passing or any(each.passed < each.ended for each in passing):
        return ""
    bad = " and ".join(f"{'→'.join(way)} (0/{tally.ended})" for way, tally in failing.items())
    total = sum(tally.ended for tally in passing)
    return f"fails on {bad}, passes elsewhere ({total}/{total})"
