"""Hosts of a fleet: machines that run cases for an orchestrator elsewhere, over TLS."""
