"""`python -m ferminet.config [--write]`: print the defaults, or write workflow/schemas."""

import sys
from pathlib import Path

from ferminet.config import schema

if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        schema.write(Path("workflow/schemas"))
    else:
        print(schema.documented_defaults(), end="")
