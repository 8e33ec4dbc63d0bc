"""Keeping access tokens alive: exactly one refresh at a time per connection, journalled, across processes.

Two transactions and no lock across the call. (1) ``attempt.begin`` writes the attempt: that committed row is lock and
journal. (2) The call, with its own deadline. (3) ``attempt.keep`` puts the new pair in where the refresh token it was
made from still stands. An attempt whose outcome is unknown stays in the journal until ``refresh`` resolves it.
"""

from services.auth.refresh.refresh import RefreshCoordinator
from services.auth.refresh.token import access_token

__all__ = ["RefreshCoordinator", "access_token"]
