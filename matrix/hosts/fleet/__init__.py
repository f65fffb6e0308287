"""Hosts of a fleet: the file that names them, and their certificates."""
