"""Pipelines of CI systems, generated from scenarios."""
