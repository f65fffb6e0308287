"""Live migration over QMP: strategies, transports, the hop, faults, and the proof of memory."""
