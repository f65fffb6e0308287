"""``python -m matrix`` is the same as ``matrix``."""

from matrix.cli.main import main

if __name__ == "__main__":
    main()
