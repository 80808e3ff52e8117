"""`python -m ferminet.config [--write]`: print the defaults, or write workflow/schemas."""

import sys
from pathlib import Path

from ferminet.config import schema

if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        for name, generate in schema.FILES.items():
            Path("workflow/schemas", name).write_text(generate(), encoding="utf-8")
    else:
        print(schema.documented_defaults(), end="")
