"""Conventional quantum chemistry: the only part of the package that imports PySCF.

`gto` (orbitals in JAX) does not import PySCF; it is the only module that wavefunctions may import.
"""
