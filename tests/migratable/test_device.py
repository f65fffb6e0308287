"""Reading what ``info qtree`` prints."""

from hypothesis import given
from hypothesis import strategies as st

from matrix.migratable.device import Device, read_tree

TREE = """\
bus: main-system-bus
  type System
  dev: hpet, id ""
    gpio-in "" 2
    timers = 3 (0x3)
    msi = false
    mmio 00000000fed00000/0000000000000400
  dev: q35-pcihost, id ""
    MCFG = -1 (0xffffffffffffffff)
    bus: pcie.0
      type PCIE
      dev: ICH9-SMB, id ""
        addr = 1f.3
      dev: ICH9-SMB, id "second"
        addr = 1f.4
        bar 4: i/o at 0xffffffffffffffff [0x3e]
  dev: fw_cfg_io, id ""
    acpi-mr-restore = true
"""


def test_devices_are_told_apart_by_their_place() -> None:
    bus = "/main-system-bus/q35-pcihost[0]/pcie.0"
    assert read_tree(TREE) == (
        Device("/main-system-bus/fw_cfg_io[0]", "fw_cfg_io", (("acpi-mr-restore", "true"),)),
        Device("/main-system-bus/hpet[0]", "hpet", (("msi", "false"), ("timers", "3 (0x3)"))),
        Device(
            "/main-system-bus/q35-pcihost[0]", "q35-pcihost", (("MCFG", "-1 (0xffffffffffffffff)"),)
        ),
        Device(f"{bus}/ICH9-SMB[0]", "ICH9-SMB", (("addr", "1f.3"),)),
        Device(f"{bus}/ICH9-SMB[1]", "ICH9-SMB", (("addr", "1f.4"),)),
    )


@given(st.text(st.sampled_from(" \nabusdev:=,"), max_size=80))
def test_any_text_is_read(text: str) -> None:
    assert all(device.path.startswith("/") for device in read_tree(text))
