"""The code of the pages of docs/how-to, which tests run as it stands."""

import re
import textwrap
from pathlib import Path

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


def code_blocks(page: str, language: str) -> list[str]:
    """Return the blocks of one language, in the order of the page, without their indentation."""
    blocks = re.findall(
        rf"^ *```{language}\n(.*?)```", (HOW_TO / page).read_text(), flags=re.S | re.M
    )
    return [textwrap.dedent(block) for block in blocks]
