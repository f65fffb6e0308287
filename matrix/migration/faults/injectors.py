"""The injector of each fault."""

from matrix.migrating import Fault
from matrix.migration.faults import (
    changing,
    converging,
    ending,
    mismatching,
    network,
    orphaning,
    severing,
)
from matrix.migration.faults.base import FaultInjector

INJECTORS: dict[Fault, type[FaultInjector]] = {
    Fault.NO_LISTENER: ending.NoListener,
    Fault.CANCEL_IN_SETUP: ending.CancelInSetup,
    Fault.CANCEL_IN_ACTIVE: ending.CancelInActive,
    Fault.CANCEL_IN_PRE_SWITCHOVER: ending.CancelInPreSwitchover,
    Fault.CANCEL_IN_COMPLETED: ending.CancelInCompleted,
    Fault.KILL_DESTINATION_IN_SETUP: ending.KillDestinationInSetup,
    Fault.KILL_DESTINATION_IN_ACTIVE: ending.KillDestinationInActive,
    Fault.KILL_DESTINATION_IN_PRE_SWITCHOVER: ending.KillDestinationInPreSwitchover,
    Fault.KILL_SOURCE_IN_ACTIVE: ending.KillSourceInActive,
    Fault.KILL_SOURCE_IN_POSTCOPY: ending.KillSourceInPostcopy,
    Fault.MEMORY_MISMATCH: mismatching.Mismatch,
    Fault.DEVICE_MISMATCH: mismatching.Mismatch,
    Fault.VCPU_MISMATCH: mismatching.Mismatch,
    Fault.MACHINE_MISMATCH: mismatching.Mismatch,
    Fault.UUID_MISMATCH: mismatching.Mismatch,
    Fault.TLS_WRONG_CERTIFICATE: mismatching.WrongCredentials,
    Fault.TLS_WRONG_HOST: mismatching.WrongCredentials,
    Fault.TLS_NO_CLIENT_CERTIFICATE: mismatching.WrongCredentials,
    Fault.TLS_WRONG_PSK: mismatching.WrongCredentials,
    Fault.STALL_IN_PRECOPY: network.StallInPrecopy,
    Fault.DROP_IN_PRECOPY: network.DropInPrecopy,
    Fault.STALL_IN_POSTCOPY: network.StallInPostcopy,
    Fault.DROP_IN_POSTCOPY: network.DropInPostcopy,
    Fault.PAUSE_IN_POSTCOPY: network.PauseInPostcopy,
    Fault.CUT_LINK_IN_PRECOPY: severing.CutLinkInPrecopy,
    Fault.CUT_LINK_IN_POSTCOPY: severing.CutLinkInPostcopy,
    Fault.CUT_LINK_BRIEFLY_IN_PRECOPY: severing.CutLinkBrieflyInPrecopy,
    Fault.CUT_LINK_BRIEFLY_IN_POSTCOPY: severing.CutLinkBrieflyInPostcopy,
    Fault.LOSE_DESTINATION_HOST_IN_PRECOPY: severing.LoseDestinationHostInPrecopy,
    Fault.LOSE_DESTINATION_HOST_IN_POSTCOPY: severing.LoseDestinationHostInPostcopy,
    Fault.LOSE_SOURCE_HOST_IN_PRECOPY: severing.LoseSourceHostInPrecopy,
    Fault.LOSE_SOURCE_HOST_IN_POSTCOPY: severing.LoseSourceHostInPostcopy,
    Fault.KILL_DESTINATION_WORKER_IN_PRECOPY: orphaning.KillDestinationWorkerInPrecopy,
    Fault.KILL_DESTINATION_WORKER_IN_POSTCOPY: orphaning.KillDestinationWorkerInPostcopy,
    Fault.KILL_SOURCE_WORKER_IN_PRECOPY: orphaning.KillSourceWorkerInPrecopy,
    Fault.KILL_SOURCE_WORKER_IN_POSTCOPY: orphaning.KillSourceWorkerInPostcopy,
    Fault.CHANGE_BANDWIDTH: changing.ChangeBandwidth,
    Fault.CHANGE_DOWNTIME_LIMIT: changing.ChangeDowntimeLimit,
    Fault.PAUSE_SOURCE: changing.PauseSource,
    Fault.DISK_FULL: ending.DiskFull,
    Fault.STOP_DESTINATION: changing.StopDestination,
    Fault.NO_CONVERGENCE_THROTTLED: converging.EndedByAutoConverge,
    Fault.NO_CONVERGENCE_DIRTY_LIMITED: converging.EndedByDirtyLimit,
    Fault.NO_CONVERGENCE_POSTCOPY: converging.EndedByPostcopy,
    Fault.NO_CONVERGENCE_CANCELLED: converging.NoConvergence,
}


def injector_for(fault: Fault) -> FaultInjector:
    """A new injector, for one hop."""
    return INJECTORS[fault](fault)
