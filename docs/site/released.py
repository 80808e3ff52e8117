"""Write one page for each released suite, with the tables that `ferminet tables` makes of its rows.

`python -m docs.site.released FOLDER` needs the environment of the package.
"""

import shutil
import sys
from pathlib import Path

from docs.site.pages import ROOT, contents, write
from ferminet.benchmark.records import read_rows
from ferminet.benchmark.references import project_references
from ferminet.benchmark.tables.build import build_table, table_names
from ferminet.benchmark.tables.formatting import to_markdown


def suite_page(suite: Path) -> str:
    """Return the page of one suite."""
    rows = read_rows(suite / "energies.parquet")
    references = project_references()
    text = (
        f"# The suite {suite.name}\n\n{len(rows)} rows of `results/published/{suite.name}`; "
        "[how to follow a number back to its run]"
        "(/how-to/publish.md#from-a-number-back-to-its-run). The tables are those of\n\n"
        f"    ferminet tables --energies results/published/{suite.name}/energies.parquet "
        "--out-dir tables\n"
    )
    for name in table_names(rows):
        if not name.endswith("_derived"):  # an appendix of the table of its curve
            table = build_table(name, rows, references)
            # The title of the table, which is bold, is the heading.
            body = to_markdown(table).removeprefix(f"**{table.title}**")
            text += f"\n## {table.title}\n{body}\n"
    return text


def index_page(suites: list[str]) -> str:
    """Return the page that lists the suites."""
    lines = "\n".join(f"- [{suite}](/results/released/{suite}.md)" for suite in suites)
    text = "Rows of finished studies in `results/published`, and the tables that they fill:"
    listed = contents(f"results/released/{suite}.md" for suite in suites)
    return f"# Released rows\n\n{text}\n\n{lines}\n{listed}"


if __name__ == "__main__":
    out = Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    suites = sorted(path.parent for path in (ROOT / "results/published").glob("*/energies.parquet"))
    for suite in suites:
        write(out / f"{suite.name}.md", suite_page(suite))
    write(out / "index.md", index_page([suite.name for suite in suites]))
