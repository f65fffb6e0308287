"""How fast the command answers: ``matrix --help``, and ``matrix list`` with a warm inventory."""

import sys
from pathlib import Path

from benchmarks.measure import MATRIX, fastest, report, spend, spread

HELP_BOUND = 0.3
LIST_BOUND = 1.0
RUNS = 7
SMOKE = Path(__file__).parents[1] / "scenarios" / "smoke.yaml"


def main() -> int:
    """Measure both."""
    helped = [spend([*MATRIX, "--help"]) for _ in range(RUNS)]
    spend([*MATRIX, "list", str(SMOKE)])  # takes the inventory where it is not known
    listed = [spend([*MATRIX, "list", str(SMOKE)]) for _ in range(RUNS)]
    print(f"matrix --help: {spread(helped)}; matrix list: {spread(listed)}")
    kept = [
        report("matrix --help", fastest(helped), HELP_BOUND, "s"),
        report("matrix list, inventory warm", fastest(listed), LIST_BOUND, "s"),
        report("statuses that are not 0", sum(s.status != 0 for s in helped + listed), 0, "runs"),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
