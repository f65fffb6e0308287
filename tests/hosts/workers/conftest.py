"""Runs to record what workers come to."""

from tests.run.conftest import inventory as inventory
from tests.run.conftest import start as start
