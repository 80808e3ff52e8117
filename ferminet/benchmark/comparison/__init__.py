"""Whether one wavefunction is better than another."""
