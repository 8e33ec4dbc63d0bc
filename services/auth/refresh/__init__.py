"""Keep access tokens alive: one refresh at a time per connection, across processes, journalled.

Two transactions, and no lock across the call. (1) ``attempt.begin`` writes the attempt: that
committed row is both lock and journal. (2) The call, with its own deadline. (3) ``attempt.keep``
stores the new pair if the row still holds the refresh token that it was made from. An attempt whose
outcome is unknown stays in the journal until ``refresh`` resolves it.
"""

from services.auth.refresh.refresh import RefreshCoordinator
from services.auth.refresh.token import access_token

__all__ = ["RefreshCoordinator", "access_token"]
