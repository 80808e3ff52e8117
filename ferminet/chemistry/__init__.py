"""Conventional quantum chemistry: the only importer of PySCF, which `gto` does without."""
