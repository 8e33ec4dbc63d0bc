"""Everything a connection holds, in one answer."""

from services.gateway.load.handle import given_handle, handle_for, pending_handle
from services.gateway.load.rows import OriginalItem
from services.gateway.load.run import load_everything, newest_connection

__all__ = [
    "OriginalItem",
    "given_handle",
    "handle_for",
    "load_everything",
    "newest_connection",
    "pending_handle",
]
