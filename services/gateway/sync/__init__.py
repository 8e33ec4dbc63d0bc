"""Syncs: asking for one, and how far it has come."""

from services.gateway.sync.describe import (
    ResourceState,
    SyncView,
    describe_sync,
    newest_event,
    progress_since,
    resource_states,
    view,
)
from services.gateway.sync.request import add_sync, chosen_resources, request_sync

__all__ = [
    "ResourceState",
    "SyncView",
    "add_sync",
    "chosen_resources",
    "describe_sync",
    "newest_event",
    "progress_since",
    "request_sync",
    "resource_states",
    "view",
]
