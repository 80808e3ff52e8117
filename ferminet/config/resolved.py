"""What all resolved configurations have in common: the geometry, and how they are hashed."""

import hashlib
import json
from typing import Any

import ferminet
from ferminet.systems.molecule import Molecule
from ferminet.systems.validation import Block

# Coordinates enter hashes with this many decimals (bohr), so that the last digit of a cosine,
# which differs between machines, does not make another run of the same geometry.
HASH_DECIMALS = 9


class Resolved(Block):
    """A calculation of one geometry."""

    study: str
    system: str
    geometry: str
    molecule: Molecule
    deviations: list[str]

    def molecule_hash(self) -> str:
        """Return eight hexadecimal digits of nuclei, charge and spin."""
        return digest(physics_of(self.molecule.model_dump()))[:8]

    def common_params(self) -> dict[str, Any]:
        """Return what every job of the geometry depends on."""
        molecule = physics_of(self.molecule.model_dump())
        return {"molecule": molecule, "method_version": ferminet.METHOD_VERSION}


def physics_of(molecule: dict[str, Any]) -> dict[str, Any]:
    """Return what the energy or its calculation depends on, of a serialised molecule."""
    keys = ("symbols", "charge", "unpaired_electrons", "broken_symmetry")
    # Adding 0.0 turns -0.0 into 0.0.
    coords = [[round(x, HASH_DECIMALS) + 0.0 for x in row] for row in molecule["coords"]]
    return {key: molecule[key] for key in keys} | {"coords": coords}


def canonical(content: Any) -> str:
    """Return JSON that is the same text for the same content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(content: Any) -> str:
    """Return the SHA-256 of the canonical text."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()
