"""Conventional quantum chemistry: the only part of the package that knows PySCF.

`gto` (orbitals in JAX) does not import PySCF; wavefunctions may use it and nothing else from here.
"""
