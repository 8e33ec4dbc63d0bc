"""From the wish to connect an account to the connection that was made."""

from services.gateway.connect.finish import Finished, finish_connect
from services.gateway.connect.open import Opened, open_connect
from services.gateway.connect.return_url import checked_return_url
from services.gateway.connect.start import start_connect
from services.gateway.connect.status import read_flow

__all__ = [
    "Finished",
    "Opened",
    "checked_return_url",
    "finish_connect",
    "open_connect",
    "read_flow",
    "start_connect",
]
