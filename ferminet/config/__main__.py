"""`python -m ferminet.config [--write]`: print or write what is generated from the models."""

import argparse
from pathlib import Path

from ferminet.config import schema


def main() -> None:
    """Print the documented defaults, or write them and the schemas to workflow/schemas."""
    parser = argparse.ArgumentParser(prog="python -m ferminet.config")
    parser.add_argument(
        "--write", action="store_true", help="write workflow/schemas instead of printing"
    )
    if parser.parse_args().write:
        schema.write(Path("workflow/schemas"))
    else:
        print(schema.documented_defaults(), end="")


if __name__ == "__main__":
    main()
