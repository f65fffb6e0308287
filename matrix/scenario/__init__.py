"""A scenario file: read, checked, and expanded into cases."""
