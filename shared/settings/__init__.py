"""Read what the operator decides from ``TRIBUTARY_*`` and ``.env``, once, at start."""

from shared.settings.cluster import Cluster
from shared.settings.configured import configured_for
from shared.settings.load import (
    ProviderDefaults,
    ProviderSettings,
    Settings,
    SettingsError,
    load_settings,
)
from shared.settings.secret import SecretStr
from shared.settings.variables import settings_table

__all__ = [
    "Cluster",
    "ProviderDefaults",
    "ProviderSettings",
    "SecretStr",
    "Settings",
    "SettingsError",
    "configured_for",
    "load_settings",
    "settings_table",
]
