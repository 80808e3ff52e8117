"""The checks of a wavefunction against its contract; `ferminet.testing` is their public face."""
