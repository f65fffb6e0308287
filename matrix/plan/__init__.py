"""Pure decisions: run or skip, in which order, and with which command line."""
