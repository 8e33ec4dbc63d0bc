"""Say what an answer means for the page that was asked for, whichever API it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.connector.interruptions import Interruption, Reject, Restart, RetryLater, retry_after

if TYPE_CHECKING:
    from shared.connector.page import Connector, Response

NOT_THE_API: Final = "not_the_api"
MALFORMED_PAGE: Final = "malformed_page"
TOO_LARGE: Final = frozenset({413, 414, 431})
"""The network in front of an API refuses a request for its own size. No wait changes that."""


def meaning(connector: Connector, name: str, response: Response) -> Interruption | None:
    """Return what keeps an answer from being a page, None when it is a success.

    ``name`` is the provider's. APIs answer in JSON: other errors, and redirects, come from the
    network in front of them. They say nothing of what was asked for, and pass. What ``connector``
    makes of 401 and 429 holds even then.
    """
    status, after_s = response.status, retry_after(response.headers)
    if 300 <= status < 400:
        reason = f"The network in front of {name} redirects requests (status {status})."
        return RetryLater(reason, code=NOT_THE_API, after_s=after_s)
    found = connector.problem(response)
    if response.body is not None:
        return found
    if found is None:
        return RetryLater(f"{name} sent a page that is not JSON.", code=MALFORMED_PAGE)
    if not isinstance(found, Reject | Restart) or status in TOO_LARGE:
        return found
    page = "a web page" if _is_html(response) else "something that is not JSON"
    reason = f"The network in front of {name} answered with {page} (status {status})"
    return RetryLater(f"{reason} instead of the API.", code=NOT_THE_API, after_s=after_s)


def _is_html(response: Response) -> bool:
    return "html" in response.headers.get("content-type", "").lower()
