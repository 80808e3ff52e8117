"""Shared by the tests of conformance: a plug-in file, and one small system to check it on."""

import pytest

from ferminet.conformance import subject


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory):
    """Write a plug-in and return the name that a study gives it."""

    def write(source: str) -> str:
        path = tmp_path_factory.mktemp("plugin") / "mine.py"
        path.write_text(source)
        return f"{path}:build"

    return write


@pytest.fixture(autouse=True)
def _one_small_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check on one small system, which is enough for a mistake to show."""
    monkeypatch.setattr(subject, "SYSTEMS", subject.SYSTEMS[:1])
