"""A consent on its way: started, opened in a browser, finished by the provider's callback."""

from services.auth.connect.callback import finish_flow
from services.auth.connect.flow import get_flow, open_flow, start_flow

__all__ = ["finish_flow", "get_flow", "open_flow", "start_flow"]
