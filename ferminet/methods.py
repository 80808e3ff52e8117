"""Names of methods, of their references, of basis-set limits' protocols and of devices.

What the command line, the configuration and the workflow allow; it imports nothing of the package.
"""

from typing import Literal, get_args

Method = Literal["hf", "ccsd_t", "fci", "nevpt2"]
Reference = Literal["auto", "rhf", "uhf", "rohf"]
Protocol = Literal["paper", "small"]
DeviceName = Literal["cpu-core", "a100"]
METHODS: tuple[Method, ...] = get_args(Method)
REFERENCES: tuple[Reference, ...] = get_args(Reference)
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
DEVICES: tuple[DeviceName, ...] = get_args(DeviceName)
