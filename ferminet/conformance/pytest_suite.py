"""What `pytest_plugin.py` collects: one test for each check of the wavefunction named."""

import pytest

from ferminet.conformance.cases import Subject
from ferminet.conformance.checks import CHECKS, FOUNDATIONS, run_check
from ferminet.conformance.findings import FAILED
from ferminet.conformance.options import read_options
from ferminet.errors import InputError


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> Subject:
    """The wavefunction, which all checks share with its compiled programs."""
    options = read_options(request.config.getoption("--ansatz-options") or [])
    return Subject(str(request.config.getoption("--ansatz")), options)


@pytest.mark.parametrize("check", CHECKS)
def test_ansatz(subject: Subject, check: str) -> None:
    """The wavefunction keeps this part of its contract."""
    try:
        for earlier in FOUNDATIONS:
            if check == earlier:
                break
            if run_check(earlier, subject).status == FAILED:
                pytest.skip(f"it fails {earlier!r}")
        finding = run_check(check, subject)
    except InputError as error:
        pytest.fail(str(error), pytrace=False)
    if finding.status == FAILED:
        pytest.fail(finding.sentence, pytrace=False)
