"""Physical constants and unit conversions; the package works in bohr and hartree.

Source: CODATA 2018, E. Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021).
"""

ANGSTROM_PER_BOHR = 0.529177210903
ELECTRONVOLT_PER_HARTREE = 27.211386245988
MEH_PER_HARTREE = 1e3
CHEMICAL_ACCURACY_MEH = 1.6  # 1 kcal/mol

# Length units that an input file may name, and their size in bohr.
BOHR_PER_UNIT = {"bohr": 1.0, "angstrom": 1.0 / ANGSTROM_PER_BOHR}
