"""How long a run will likely still take, from what its cases took before and take now."""


class Forecast:
    """Adds up what is left: known durations as they were, unknown ones as the mean of the others.

    The sum is divided by the parallelism seen so far (seconds of cases per second of the run).
    """

    def __init__(self, known: list[float | None]) -> None:
        """``known`` has each attempt's last duration in seconds, None where there is none."""
        self._known_left = sum(seconds for seconds in known if seconds is not None)
        self._unknown_left = sum(1 for seconds in known if seconds is None)
        self._spent = 0.0
        self._count = 0

    def expect(self, known: float | None, count: int) -> None:
        """There are ``count`` more attempts with that known duration, or fewer where negative."""
        if known is None:
            self._unknown_left += count
        else:
            self._known_left += count * known

    def finished(self, known: float | None, seconds: float) -> None:
        """An attempt with that known duration has taken ``seconds``."""
        if known is None:
            self._unknown_left -= 1
        else:
            self._known_left -= known
        self._spent += seconds
        self._count += 1

    def left(self, elapsed: float) -> float | None:
        """Seconds that are likely left after ``elapsed`` seconds; None while nothing is known."""
        if not self._count or elapsed <= 0:
            return None
        parallelism = max(self._spent / elapsed, 0.1)
        mean = self._spent / self._count
        return max(0.0, self._known_left + self._unknown_left * mean) / parallelism
