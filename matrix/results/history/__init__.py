"""The history of runs, in a database: what was recorded, and what it says of a case over time.

``place`` says which database, ``database`` opens it (a file itself, a ``server`` with SQLAlchemy),
``schema`` says what it holds, and ``upgrade`` brings the databases of earlier versions there.
``record`` writes a run, each case as its flat record (``records``). ``query`` reads, ``trend``
draws conclusions (pure), ``text`` and ``document`` show them; ``baseline`` gives a recorded run to
compare with, ``durations`` what cases took, for the order in which they start.
"""
