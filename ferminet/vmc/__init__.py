"""Variational Monte Carlo: sampling, local energies, optimisation, evaluation, statistics."""
