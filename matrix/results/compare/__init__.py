"""What changed between two runs, or between the variants of one.

``sides`` are read case by case; ``matching`` says which cases stand beside each other,
``case_comparison`` what changed in each, and ``tally`` what there is of it; ``comparison_text``,
``markdown`` and ``comparison_json`` show it.
"""
