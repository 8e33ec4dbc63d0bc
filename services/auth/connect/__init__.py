"""Take a consent from its start through the browser to the provider's callback."""

from services.auth.connect.callback import finish_flow
from services.auth.connect.flow import get_flow, open_flow, start_flow

__all__ = ["finish_flow", "get_flow", "open_flow", "start_flow"]
