"""Links, paths, commands and columns that the documentation names exist."""

import re
import subprocess
import textwrap
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import yaml

import ferminet
from ferminet.ansatz import hydrogenic
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.benchmark import figures, tables
from ferminet.benchmark.records import read_rows
from ferminet.benchmark.references import load_references
from ferminet.benchmark.registry import Contents, targets
from ferminet.cli.main import main, make_parser
from ferminet.vmc.optimizers.base import OptimizerSpec, gradient_of_energy
from tests.helpers.how_to import code_blocks
from tests.helpers.reference_pages import N2_POTENTIALS, ROW_COLUMNS, n2_potentials, row_columns

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# A path of this repository in backticks; those with a placeholder are left out.
CODE_PATH = re.compile(
    r"`((?:ferminet|tests|workflow|docs|bench|experiments|molecules)/[\w./+-]*)`"
)
DOCS_PATH = re.compile(r"docs/[\w./-]+\.(?:md|png|yml)")


def text_without_code(page: Path) -> str:
    """Return a page without its fenced code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    words = re.sub(r"[^\w\s-]", "", heading.strip().lower())
    return words.replace(" ", "-")


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of all headings of a page."""
    return {anchor(line.lstrip("#")) for line in text_without_code(page).splitlines()
            if line.startswith("#")}  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    for target in LINK.findall(text_without_code(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, fragment = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page} links to {target}"
        if fragment:
            assert fragment in anchors(file), f"{page} links to {target}, a missing heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_paths_of_code_in_the_pages_exist(page: Path) -> None:
    for path in CODE_PATH.findall(page.read_text()):
        assert (ROOT / path).exists(), f"{page} names {path}"


def test_documents_named_in_the_code_exist() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.smk", "*.yaml", "*.yml", "*.csv", "*.json", "*.rst", "*.md"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if not name.startswith(("results/", "CHANGELOG")) and (ROOT / name).is_file():
            for path in DOCS_PATH.findall((ROOT / name).read_text()):
                assert (ROOT / path).exists(), f"{name} names {path}"


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = (target.partition("#")[0] for target in LINK.findall(text_without_code(page)))
        waiting += [(page.parent / path).resolve() for path in links if path.endswith(".md")]
    assert set(PAGES) <= reached


def test_the_citation_has_the_version_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == ferminet.__version__
    assert citation["references"][0]["doi"] in README.read_text()


def test_the_readme_has_at_most_one_hundred_lines() -> None:
    assert len(README.read_text().splitlines()) <= 100


def test_the_commands_page_lists_every_command() -> None:
    text = (ROOT / "docs" / "reference" / "commands.md").read_text()
    listed = set(re.findall(r"^\| `([\w-]+)` \|", text, flags=re.M))
    parser = make_parser()
    actions = [action for action in parser._actions if action.choices]
    assert listed == set(actions[0].choices or ())


def test_the_pages_made_from_code_and_literature_are_up_to_date() -> None:
    """If this fails: python -m tests.helpers.reference_pages --write."""
    assert ROW_COLUMNS.read_text() == row_columns()
    assert N2_POTENTIALS.read_text() == n2_potentials()


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/own-molecule.md"])
def test_the_example_of_a_molecule_of_your_own_is_a_valid_study(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    molecule, study = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), flags=re.S)[:2]
    (tmp_path / "molecules").mkdir()
    (tmp_path / "molecules" / "HeH.yaml").write_text(textwrap.dedent(molecule))
    water = "3\nwater\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n"
    (tmp_path / "water.xyz").write_text(water)
    (tmp_path / "heh.yaml").write_text(textwrap.dedent(study))
    monkeypatch.chdir(tmp_path)
    assert main(["molecules", "molecules/HeH.yaml"]) == 0
    assert main(["resolve", "--config", "heh.yaml", "--system", "HeH"]) == 0
    assert '"charge": 1' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("page", "registry", "result"),
    [("add-a-table.md", tables, "Table"), ("add-a-figure.md", figures, "Figure")],
    ids=["table", "figure"],
)
def test_the_examples_of_a_table_and_a_figure_work(
    page: str, registry: ModuleType, result: str
) -> None:
    module, entry = code_blocks(page, "python")
    names: dict[str, Any] = {}
    exec(compile(module, page, "exec"), names)
    (added,) = eval(f"({entry.strip()},)", vars(registry))
    contents = Contents(kinds={"He": "atom"}, runs=1)
    assert [target.name for target in targets([added], contents)] == ["variance"]
    rows = read_rows(ROOT / "results" / "published" / "regression" / "energies.parquet")
    built = names[added.builder.partition(":")[2]](
        rows, load_references(ROOT / "molecules" / "reference")
    )
    assert type(built).__name__ == result


def test_the_example_of_an_optimiser_makes_one() -> None:
    (example,) = code_blocks("add-an-optimiser.md", "python")
    names: dict[str, Any] = {}
    exec(compile(example, "my_opt.py", "exec"), names)
    nuclei = Nuclei(jnp.zeros((1, 3)), jnp.ones(1))
    ansatz = hydrogenic.build(AnsatzSpec(1, 0, 1), zeta=0.5)
    params = ansatz.init(jax.random.key(0), nuclei)
    electrons = jnp.array([[[1.0, 0.0, 0.0]], [[2.0, 0.0, 0.0]]])
    optimiser = names["make"](OptimizerSpec(ansatz, lambda iteration: 0.1), scale=0.5)
    state = optimiser.init(jax.random.key(1), params, electrons, nuclei)
    weights = jnp.array([1.0, -1.0])
    moved, _ = optimiser.update(jax.random.key(2), weights, state, params, electrons, nuclei, 0)
    gradient = gradient_of_energy(ansatz, params, electrons, nuclei, weights)
    assert moved["zeta"] == params["zeta"] - 0.05 * gradient["zeta"] != params["zeta"]
