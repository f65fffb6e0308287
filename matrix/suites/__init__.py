"""Where tests come from: kvm-unit-tests builds and embedded guests, and their console protocol."""
