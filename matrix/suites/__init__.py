"""Where tests come from: kvm-unit-tests builds and the embedded guests, and their console protocol."""
