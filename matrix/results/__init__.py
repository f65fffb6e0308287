"""A run's directory: its journal, its artifacts and its reports for machines."""
