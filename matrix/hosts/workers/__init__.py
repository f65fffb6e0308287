"""Local workers: child processes that run the cases of this machine for one orchestrator."""
