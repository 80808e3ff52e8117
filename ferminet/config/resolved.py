"""What all resolved configurations have in common: the geometry, and how they are hashed."""

import hashlib
import json
from typing import Any

import ferminet
from ferminet.config.blocks import Block
from ferminet.systems.molecule import Molecule

# Coordinates enter hashes with this many decimals (bohr), so that the last digit of a cosine,
# which differs between machines, does not make another run of the same geometry.
HASH_DECIMALS = 9


class Resolved(Block):
    """A calculation of one geometry."""

    study: str
    system: str
    geometry: str
    molecule: dict[str, Any]  # Molecule.to_dict()
    deviations: list[str]

    def molecule_object(self) -> Molecule:
        """The geometry, checked again.

        Raises:
            InputError: it is impossible.
        """
        return Molecule.from_dict(self.molecule)

    def physics(self) -> dict[str, Any]:
        """What of the molecule the energy or its calculation depends on: no titles, no sources."""
        return physics_of(self.molecule)

    def molecule_hash(self) -> str:
        """Names nuclei, charge and spin: two calculations of different ones differ in it."""
        return digest(self.physics())[:8]

    def common_params(self) -> dict[str, Any]:
        """What every job of the geometry depends on."""
        return {"molecule": self.physics(), "method_version": ferminet.METHOD_VERSION}


def physics_of(molecule: dict[str, Any]) -> dict[str, Any]:
    """The same of a molecule as ``Molecule.to_dict`` gives it."""
    keys = ("symbols", "charge", "unpaired_electrons", "broken_symmetry")
    # Adding 0.0 turns -0.0 into 0.0.
    coords = [[round(x, HASH_DECIMALS) + 0.0 for x in row] for row in molecule["coords"]]
    return {key: molecule[key] for key in keys} | {"coords": coords}


def canonical(content: Any) -> str:
    """JSON that is the same text for the same content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(content: Any) -> str:
    """SHA-256 of the canonical text."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()
