"""Random valid sequences of operations on one guest; a failure is shrunk and written down."""
