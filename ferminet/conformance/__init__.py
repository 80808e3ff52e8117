"""Checks of a wavefunction against its contract; `checks` is the public module."""
