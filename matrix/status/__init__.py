"""The state of KVM for a yearly talk: who changed what in a kernel, and what runs exercised."""
