"""The example of the documentation works as written."""

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "hydrogen.md"


def test_hydrogen_is_trained_in_twenty_lines() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.M | re.S)
    assert len([line for line in code.splitlines() if line]) <= 20
    names: dict[str, Any] = {}
    exec(code, names)
    energy = names["energy"]
    assert energy.error < 1e-3
    assert abs(energy.mean + 0.5) < 4.0 * energy.error
