"""Shared by the tests of studies: the file of a minimal study."""

from pathlib import Path
from typing import Any

import pytest
import yaml

MINIMAL: dict[str, Any] = {"seeds": [1], "systems": ["LiH"]}


@pytest.fixture
def write(tmp_path: Path):
    """Write a minimal study with changes."""

    def write(stem: str = "mine", **changes: Any) -> Path:
        path = tmp_path / f"{stem}.yaml"
        path.write_text(yaml.safe_dump({**MINIMAL, **changes}))
        return path

    return write
