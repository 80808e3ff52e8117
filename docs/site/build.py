"""Build the site: `make docs` runs `python -m docs.site.build BUILD` with the docs environment.

The pages are put together in BUILD/pages, and Sphinx makes BUILD/html of them. It needs no network.
BUILD/released holds the pages of `docs/site/released.py`.
"""

import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from docs.site import pages, python_names, reference

CONFIGURATION = Path(__file__).parent
RELEASED = "results/released/"


def build(folder: Path) -> int:
    """Build the site below a folder, and return an exit code: 0 if there was no warning."""
    source, html = folder / "pages", folder / "html"
    for made in (source, html):
        shutil.rmtree(made, ignore_errors=True)
    additions = {
        "docs/reference/commands.md": reference.commands(),
        "docs/reference/study-keys.md": reference.keys("study", "All keys"),
        "docs/reference/molecule-keys.md": reference.keys("system", "All keys"),
    }
    own = python_names.pages()
    suites = {RELEASED + page.name: page.read_text() for page in (folder / "released").glob("*.md")}
    children = {reference.PYTHON_PAGE: [*own], "docs/results/README.md": [f"{RELEASED}index.md"]}
    pages.write_pages(source, additions, children)
    for page in source.rglob("*.md"):
        page.write_text(reference.linked(page.read_text()))
    for name, text in (own | suites).items():
        pages.write(source / name, text)
    pages.write_sources(source)
    options = ["-W", "--keep-going", "-q", "-c", str(CONFIGURATION), "-d", str(folder / "cache")]
    return build_main([*options, str(source), str(html)])


if __name__ == "__main__":
    try:
        sys.exit(build(Path(sys.argv[1])))
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"docs: {error}.")
