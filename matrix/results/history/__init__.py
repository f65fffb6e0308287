"""The history of runs, in a database: what was recorded, and what it says of a case over time.

``place`` says which database, ``schema`` and ``migrations`` what it holds, ``store`` opens it,
``record`` writes a run. ``query`` reads, ``trend`` draws conclusions (pure), ``text`` and
``document`` show them; ``baseline`` gives a recorded run to compare with, ``durations`` what cases
took, for the order in which they start.

SQLAlchemy takes some 0.2 s to load: only ``store`` and what needs it import it, and a run loads it
while its guests are running.
"""
