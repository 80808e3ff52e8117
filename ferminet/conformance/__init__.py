"""Whether a wavefunction keeps its contract; `checks` is the public face."""
