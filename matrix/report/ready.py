"""Importing this makes the page's template ready: a run loads it while its guests run.

Compiling the template takes some 30 ms, as much as the whole end of a short run.
"""

from matrix.report.page import prepare

prepare()
