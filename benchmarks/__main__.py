"""Runs every benchmark, each in a process of its own so that peak memory is its own."""

import subprocess
import sys

BENCHMARKS = (
    *("startup", "expand", "sequential", "throughput", "orchestrator", "first_result", "history"),
    *("fleet", "reuse"),
)


def main() -> int:
    """Run all; 1 where one of them missed its bound."""
    failed = [
        name
        for name in BENCHMARKS
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
    ]
    print(f"missed: {', '.join(failed)}" if failed else "every bound was kept")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
