"""Settings of all tests: double precision, no display, one place for JAX's environment."""

import os
import sys
from pathlib import Path

import pytest

os.environ["MPLBACKEND"] = "Agg"
# As in the workflow's jobs: one thread, which makes results repeatable to the last bit.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from ferminet.runtime.environment import prepare_environment
from tests.helpers.compilation import compile_quickly

prepare_environment()
if "--long" not in sys.argv:
    compile_quickly()

import jax  # noqa: E402

# Tests compare with exact values; what runs in float32 for its users says so in its test.
jax.config.update("jax_enable_x64", True)

ROOT = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="leave out the tests marked slow")
    parser.addoption("--long", action="store_true", help="run the tests marked long, and only them")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = bool(config.getoption("--long"))
    left_out = [item for item in items if (item.get_closest_marker("long") is not None) != long]
    if config.getoption("--fast"):
        left_out += [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=left_out)
    left_out = set(left_out)
    items[:] = [item for item in items if item not in left_out]
    # A file is one worker's work: the longest files first, so that none is left for the end.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.parent.name != "workflow"))


_last_file: list[Path] = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stages set the precision of the process; each file of tests begins with float64.

    Before all fixtures, those of the whole session too, which one of scope ``module`` would follow.
    """
    if _last_file != [item.path]:
        _last_file[:] = [item.path]
        jax.config.update("jax_enable_x64", True)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture
def in_root(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs the test in the project's folder, as users do."""
    monkeypatch.chdir(ROOT)
    return ROOT
