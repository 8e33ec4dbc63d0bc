"""Calls to a provider's authorization server, in its own dialect of OAuth."""

from services.auth.call.endpoint import TokenEndpoint
from services.auth.call.failures import Away, BadClient, DeadGrant, JustRefreshed, Lost, ProviderFailure, Refused
from services.auth.call.means import Means
from services.auth.call.reply import Grant, Identified

__all__ = [
    "Away",
    "BadClient",
    "DeadGrant",
    "Grant",
    "Identified",
    "JustRefreshed",
    "Lost",
    "Means",
    "ProviderFailure",
    "Refused",
    "TokenEndpoint",
]
