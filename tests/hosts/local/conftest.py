"""Runs to record what this machine comes to."""

from tests.run.conftest import inventory as inventory
from tests.run.conftest import start as start
