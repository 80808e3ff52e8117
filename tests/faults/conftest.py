"""Shared by all tests of faults: compiled programs, a start, a run that nothing happened to."""

from pathlib import Path

import pytest

from tests.faults.killing import STAGES, Job, make_environment, make_start


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict[str, str]:
    return make_environment(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="session")
def start(environment, tmp_path_factory) -> Path:
    return make_start(tmp_path_factory.mktemp("start") / "run", environment)


@pytest.fixture(scope="session")
def whole(environment, start, tmp_path_factory) -> Job:
    """A finished run without any fault; tests must not change it."""
    job = Job(tmp_path_factory.mktemp("whole") / "run", environment)
    job.start_from(start)
    for stage in STAGES:
        job.finish(stage)
    return job
