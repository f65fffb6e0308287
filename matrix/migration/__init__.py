"""Live migration over QMP: strategies, transports, the hop, faults, metrics, the guest's proof.

A case whose guest is migrated is run by :func:`matrix.migration.chain.run_chain`, which takes a
``Request`` (the pools of :class:`matrix.migrating.Migration`, the source's and the destinations'
``Emulator``, a seed) and gives a ``ChainResult`` (the last QEMU's ``Outcome``, a
``MigrationSummary``, the hops that went wrong). From low to high: an :mod:`.endpoint` is one side
of hops, a hop (:mod:`.hop`, :mod:`.file_hop`, :mod:`.cpr_hop`) goes over one of the :mod:`.routes`
by one of the :mod:`.strategies`, :mod:`.hop_maker` makes and records one, whoever asked for it, and
:mod:`.chain` makes those that a scenario asks for.

``Request.injectors`` makes an :class:`~matrix.migration.live_hop.Injector` of a
:class:`matrix.migrating.Fault` for one hop. Faults derive from that; its methods say when they are
called. They may ``await hop.destination.kill()``, ``await hop.source.execute("migrate_cancel")``,
with ``oob=True`` where QEMU needs it, and put each deed into the record (``hop.note("kill")``).
"""
