"""Define what a provider is: its data (``Provider``) and how to read its pages (``Connector``).

Auth and gateway use the data alone. Only the fetcher imports a connector.
"""

from shared.connector.interruptions import (
    MALFORMED_PAGE,
    Interruption,
    Reauthorize,
    Reject,
    Restart,
    RetryLater,
    retry_after,
)
from shared.connector.page import (
    LONGEST_CURSOR,
    Call,
    Completes,
    Connector,
    Cursor,
    FieldPiece,
    Gone,
    GoneReason,
    Lookup,
    Page,
    Part,
    PartSchema,
    Place,
    Record,
    Rejected,
    Request,
    Response,
)
from shared.connector.provider import Bucket, Identity, OAuth2, Original, Provider, Resource

__all__ = [
    "LONGEST_CURSOR",
    "MALFORMED_PAGE",
    "Bucket",
    "Call",
    "Completes",
    "Connector",
    "Cursor",
    "FieldPiece",
    "Gone",
    "GoneReason",
    "Identity",
    "Interruption",
    "Lookup",
    "OAuth2",
    "Original",
    "Page",
    "Part",
    "PartSchema",
    "Place",
    "Provider",
    "Reauthorize",
    "Record",
    "Reject",
    "Rejected",
    "Request",
    "Resource",
    "Response",
    "Restart",
    "RetryLater",
    "retry_after",
]
