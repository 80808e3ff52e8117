"""Decide whether one wavefunction is better than another."""
