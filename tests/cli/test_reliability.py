"""All forty-eight cases: commands are run, named tests exist, and the page says the same."""

import ast
import shlex
from pathlib import Path

import pytest

from ferminet.cli.main import main
from tests.helpers.reliability import CASES, DOCUMENT, Case, Shown, document

ROOT = Path(__file__).parents[2]
COMMANDS = [case for case in CASES if isinstance(case, Case)]


@pytest.mark.parametrize("case", COMMANDS, ids=[f"{c.number} {c.title}" for c in COMMANDS])
def test_the_user_sees_one_sentence(case: Case, tmp_path: Path, monkeypatch, capsys) -> None:
    texts = case.texts()
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(case.command)) == case.code
    printed = capsys.readouterr()
    if case.code == 0:
        assert case.sentence in printed.out
        return
    assert printed.out == ""
    assert printed.err.startswith("ferminet: ")
    assert case.sentence in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(texts)


def test_there_are_forty_eight() -> None:
    assert sorted({case.number for case in CASES}) == list(range(1, 49))


@pytest.mark.parametrize(
    "name", sorted({t for c in CASES if isinstance(c, Shown) for t in c.tests})
)
def test_the_tests_that_are_named_exist(name: str) -> None:
    file, _, function = name.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_page_has_this_table() -> None:
    """If this fails: python -m tests.helpers.reliability --write."""
    assert DOCUMENT.read_text() == document()
