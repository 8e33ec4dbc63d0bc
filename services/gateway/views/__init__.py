"""The read model as clients see it."""

from services.gateway.views.connections import ConnectionView, connection_view, list_connections, read_connection
from services.gateway.views.items import ItemPage, ItemView, list_items, read_item, web_link
from services.gateway.views.providers import ProviderView, ResourceView, list_providers

__all__ = [
    "ConnectionView",
    "ItemPage",
    "ItemView",
    "ProviderView",
    "ResourceView",
    "connection_view",
    "list_connections",
    "list_items",
    "list_providers",
    "read_connection",
    "read_item",
    "web_link",
]
