"""The history of runs, in a database: what was recorded, and what it says of a case over time.

``place`` says which database, ``schema`` and ``migrations`` what it holds. ``record`` writes a run:
into SQLite's file with the standard library (``sqlite_file``), elsewhere with SQLAlchemy
(``store``), which also opens it to be read. ``query`` reads, ``trend`` draws conclusions (pure),
``text`` and ``document`` show them; ``baseline`` gives a recorded run to compare with,
``durations`` what cases took, for the order in which they start.

SQLAlchemy takes some 0.2 s to load: only ``store``, ``schema`` and what reads import it, and a run
with the default database never does.
"""
