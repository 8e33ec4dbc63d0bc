"""``python -m services.auth``: auth as a process of its own."""

import sys

from services.auth.app import create_app
from services.auth.settings import auth_settings
from shared.process import serve_alone

if __name__ == "__main__":
    sys.exit(serve_alone("auth", lambda settings: create_app(auth_settings(settings))))
