"""The one place where the verdict of an attempt is decided."""
