"""Faults of live migration: what is done to a hop on purpose, and what must follow."""
