"""A consent on its way: started, opened in a browser, finished by the provider's callback."""

from services.auth.connect.callback import finish_flow
from services.auth.connect.open import open_flow
from services.auth.connect.start import start_flow
from services.auth.connect.view import get_flow

__all__ = ["finish_flow", "get_flow", "open_flow", "start_flow"]
