"""One-electron densities."""
