"""The embedded guests: sources, and images built from them, laid out as kvm-unit-tests builds."""
