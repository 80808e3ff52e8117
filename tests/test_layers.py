"""Imports go down only, and each foreign library has one door."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ferminet"

# From the bottom up; a module may import from its own layer and from those below.
LAYERS = (
    {"", "errors", "units", "methods"},
    {"systems", "runtime"},
    {"chemistry"},
    {"config"},
    {"ansatz"},
    {"vmc"},
    {"benchmark", "conformance"},
    {"stages"},
    {"cli", "__main__"},
)

# Foreign library -> the modules that may import it.
DOORS = {
    "pyscf": ("chemistry",),
    "kfac_jax": (),
    "pyarrow": ("benchmark.records",),
    "basis_set_exchange": ("chemistry",),
    "h5py": ("benchmark.imports",),
}
# Libraries that the workflow's own process must not import; its rules run commands that may.
HEAVY = {"jax", "pyscf", "pandas", "matplotlib", "kfac_jax", "pyarrow", "scipy"}

FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """ferminet/vmc/train.py -> vmc.train; the package itself is the empty name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Full names of the modules that a file imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer_of(module: str) -> int:
    head = module.split(".")[0]
    for index, names in enumerate(LAYERS):
        if head in names:
            return index
    raise AssertionError(f"ferminet.{module} belongs to no layer: add it to LAYERS in {__file__}")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    here = layer_of(module_name(path))
    for name in imports(path):
        if name.split(".")[0] == "ferminet":
            inside = [*name.split("."), ""][1]
            known = any(inside in names for names in LAYERS)
            # `from ferminet import METHOD_VERSION` imports the package itself.
            other = layer_of(inside) if known or (PACKAGE / inside).exists() else 0
            assert other <= here, f"{path} imports {name} from a layer above its own"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_foreign_libraries_have_one_door(path: Path) -> None:
    module = module_name(path)
    for name in imports(path):
        allowed = DOORS.get(name.split(".")[0])
        assert allowed is None or module.startswith(allowed), f"{path} must not import {name}"


def test_only_chemistry_gto_reaches_the_ansatz() -> None:
    for path in FILES:
        if module_name(path).startswith("ansatz"):
            chemistry = {n for n in imports(path) if n.startswith("ferminet.chemistry")}
            assert all(n.startswith("ferminet.chemistry.gto") for n in chemistry), path


def test_vmc_imports_nothing_of_the_runtime() -> None:
    """`vmc` can be used as a library: checkpoints, progress and history belong to `stages`."""
    for path in FILES:
        if module_name(path).startswith("vmc"):
            runtime = {name for name in imports(path) if name.startswith("ferminet.runtime")}
            assert not runtime, f"{path} imports {runtime}"


def files_of(name: str) -> set[Path]:
    """Files that an import of a name runs: those of its module and of the packages above."""
    parts = name.split(".")[1:]
    paths = [PACKAGE.joinpath(*parts[:n]) for n in range(len(parts) + 1)]
    files = {path / "__init__.py" for path in paths} | {path.with_suffix(".py") for path in paths}
    return {file for file in files if file.exists()}


def test_the_workflow_imports_nothing_heavy() -> None:
    """Follows what the Snakefile and its rules import, imports inside functions left out."""
    rules = [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    lines = re.findall(
        r"^from (ferminet\S*) import \(?(.*)$", "\n".join(map(Path.read_text, rules)), re.M
    )
    names = {f"{module}.{name.strip()}" for module, given in lines for name in given.split(",")}
    assert {"ferminet.config.load_study", "ferminet.stages.study_cost.study_cost"} <= names
    waiting = {file for name in names for file in files_of(name)}
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        for name in imports(path, top_level_only=True):
            head = name.split(".")[0]
            assert head not in HEAVY, f"{path} imports {name}"
            waiting |= files_of(name) - seen if head == "ferminet" else set()
