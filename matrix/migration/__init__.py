"""Live migration over QMP: strategies, transports, the hop, faults, metrics, the guest's proof.

A case whose guest is migrated is run by :func:`matrix.migration.chain.run_chain`, which takes a
``Request`` (the pools of :class:`matrix.migrating.Migration`, the source's and the destinations'
``Emulator``, a seed) and gives a ``ChainResult`` (the last QEMU's ``Outcome``, a
``MigrationSummary``, the hops that went wrong). What it is made of, low to high:

========== =========================================================================================
endpoint   one QEMU process: ``status`` (of its migration, by MIGRATION events), ``passes``,
           ``stopped``, ``resumed``, ``alive``, ``execute()``, ``until(*statuses)``, ``kill()``
strategies strategies as capabilities and parameters; ``why_not(strategy, abilities)``. Pure
routes     transports: a ``Route`` has the destination listen and knows ``outgoing``, the URI for
           ``migrate``; ``TcpRoute.port``, ``TcpRoute.secrets`` (TLS)
credentials keys and certificates for TLS, in QEMU's layout
samples    ``query-migrate`` every 50 ms
live       ``LiveHop``, a hop that is being made; ``Injector``, who may interfere with it
hop        ``run_hop(live, injector, sampler)``: the order, and who runs the guest afterwards
file_hop   the same through a file; background snapshots too
cpr_hop    the same by cpr-transfer
proof      the guest's INTEGRITY lines: beats, blackout, silence, clock jump. Pure
draws      what each hop is made of, by the seed and its number. Pure
identity   what must be the same on both sides, and ``difference()``
folder     private folders, locked while their owner lives: what was left behind is removed
processes  starts the QEMUs of a guest (:class:`matrix.vm.machine.Guest`) as endpoints of hops
folding    hops.jsonl kept bounded
records    hops.jsonl: ``Records.add()``, ``read_hops(path)``; one :class:`Hop` per line, as
           pydantic writes it, without what is None or the default
statistics percentiles of any number of hops in bounded memory, and limits. Pure
hop_maker  one whole hop: made, proven, recorded; for chains and tests alike
hop_runner draws each hop, and has its destination up in time; ``Request``; what hops need of QEMU's
           command lines, and the one place that loosens the sandbox
cooperative hops that the guest asks for
chain      a case whose guest is migrated, as a policy of a guest: hops, and what they come to
========== =========================================================================================

**Faults.** ``Request.injectors`` makes an :class:`~matrix.migration.live.Injector` of a
:class:`matrix.migrating.Fault` for one hop; derive from :class:`~matrix.migration.live.Injector`.
Its methods, in order:

- ``adapt(launch)``: the destination's command line (another ``-m``, ``-smp``, a device, ``-uuid``);
- ``before_listening(hop)``: put into ``hop.capabilities`` and ``hop.parameters`` what is to be set
  on both sides (``pause-before-switchover``, ``max-bandwidth``), replace ``hop.route.secrets``;
- ``before_migrating(hop)``: the destination listens; change ``hop.route.outgoing`` to go through a
  proxy, or to nobody;
- ``on_event(hop, side, what)``: ``("source", "MIGRATION active")``, ``("destination", "RESUME")``:
  ``await hop.destination.kill()``, ``await hop.source.execute("migrate_cancel")``, with
  ``oob=True`` where QEMU needs it; ``hop.note("kill")`` puts the deed into the record. Awaiting
  here holds up only further calls of ``on_event``, not the hop;
- ``before_ending(hop, end)``: it is decided, and no process was ended yet;
- ``after_end(hop, end)``: the hop is over, ``end.outcome`` says how;
- ``judge(hop, end)``: why that is not what had to follow, or empty.

``compares = False`` leaves the comparison of both sides out, which else refuses a mismatch before
anything is sent. While ``patient(hop)`` is true, a hop that is paused in postcopy, or has lost its
connection there, is not given up: the injector recovers it.
"""
