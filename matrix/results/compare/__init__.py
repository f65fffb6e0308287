"""What changed between two runs, or between the variants of one.

``matching`` says which cases stand beside each other, ``cases`` what changed in each, ``changes``
has the words for it; ``text``, ``markdown`` and ``document`` show it.
"""
