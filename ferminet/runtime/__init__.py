"""The process and its machine: environment, signals, checkpoints, run lock, provenance."""
