"""Names of the conventional methods, of their references and of the protocols of basis-set limits.

What the command line, the configuration and the workflow allow; it imports nothing of the package.
"""

from typing import Literal, get_args

Method = Literal["hf", "ccsd_t", "fci", "nevpt2"]
Reference = Literal["auto", "rhf", "uhf", "rohf"]
Protocol = Literal["paper", "small"]
METHODS: tuple[Method, ...] = get_args(Method)
REFERENCES: tuple[Reference, ...] = get_args(Reference)
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
