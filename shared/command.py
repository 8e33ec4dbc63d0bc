"""A command beside services that run: one sentence about what went wrong, and an exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from shared.errors import HubError
from shared.installation import provider_defaults
from shared.settings import Settings, SettingsError, load_settings
from shared.transient import is_transient

REFUSED, MISUSED = 1, 2


def run_command(run: Callable[[Settings], Coroutine[Any, Any, int]], *, needs: str) -> int:
    """The exit code: that of ``run``, 1 when something was refused or is away, 2 for wrong settings.

    ``needs`` names, for people, what ``run`` stands on.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that Kafka is away is said once, below
    try:
        settings = load_settings(os.environ, Path(".env"), providers=provider_defaults())
        return asyncio.run(run(settings))
    except SettingsError as wrong:
        sys.stderr.write(f"{wrong}\n")
        return MISUSED
    except HubError as refused:
        sys.stderr.write(f"{refused.detail}\n")
    except Exception as error:
        if not is_transient(error):
            raise
        sys.stderr.write(f"{needs} does not answer ({type(error).__name__}). Start it, then repeat.\n")
    return REFUSED
