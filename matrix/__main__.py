"""The entry point of ``matrix``, which ``python -m matrix`` is the same as."""

import sys
from typing import NoReturn

from matrix.errors import ExitCode


def main() -> NoReturn:
    """Load the program and run it; Ctrl-C while it loads is an interrupt like any other."""
    try:
        from matrix.cli.main import main as run
    except KeyboardInterrupt:
        print("matrix: interrupted", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
