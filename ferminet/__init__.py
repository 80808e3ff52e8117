"""FermiNet benchmarks: wavefunctions of variational Monte Carlo beside conventional methods."""

__version__ = "0.1.0"

# Part of every configuration hash and of every row. Raised by hand when a change of the code
# changes results beyond rounding, so that a corrected docstring never repeats a week of training.
METHOD_VERSION = "1"
