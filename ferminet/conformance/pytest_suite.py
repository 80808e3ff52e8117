"""The tests that `pytest_plugin.py` collects: one for each check."""

import pytest

from ferminet.config.plugins import read_options
from ferminet.conformance.checks import CHECKS, FAILED, NOT_RUN, Examination
from ferminet.conformance.subject import Subject
from ferminet.errors import InputError


@pytest.fixture(scope="session")
def examination(request: pytest.FixtureRequest) -> Examination:
    """Return the findings, so that all tests share the compiled programs."""
    options = read_options(request.config.getoption("--ansatz-options") or [])
    return Examination(Subject(str(request.config.getoption("--ansatz")), options))


@pytest.mark.parametrize("check", CHECKS)
def test_ansatz(examination: Examination, check: str) -> None:
    """Check one part of the contract."""
    try:
        finding = examination.finding(check)
    except InputError as error:
        pytest.fail(str(error), pytrace=False)
    if finding.status == NOT_RUN:
        pytest.skip(finding.measured)
    if finding.status == FAILED:
        pytest.fail(finding.sentence, pytrace=False)
