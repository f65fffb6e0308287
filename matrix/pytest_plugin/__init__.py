"""Scenarios as pytest tests, and guests as fixtures; the hooks are in ``plugin``."""
