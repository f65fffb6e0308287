"""This machine as a host: how it runs cases."""
