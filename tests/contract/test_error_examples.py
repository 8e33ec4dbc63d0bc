"""The reference shows the sentences that auth really says when a consent fails."""

import pytest

from services.auth.connect.flow import problem
from services.gateway.http.error_codes import CONSENT_ERRORS, ERROR_CODES


@pytest.mark.parametrize("code", CONSENT_ERRORS)
def test_the_example_of_a_failed_consent_is_what_auth_says(code: str) -> None:
    assert problem(code, "Acme").detail == ERROR_CODES[code].detail
