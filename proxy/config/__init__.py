"""Configuration: one frozen ``Settings``, from flags, environment, a YAML file and defaults.

    settings = load(Path("stream-guard.yaml"), upstream="http://127.0.0.1:8787")

The rooms: ``settings`` (the model), ``units``, ``addresses`` and ``files`` (what a value may be),
``sources`` (where values come from, each with its origin), ``loading`` (which source wins, and
what a person is told), ``changes`` (between two of them), ``text`` (for people), ``schema``
(the JSON Schema for editors), ``errors``.
"""

from proxy.config.changes import changed
from proxy.config.errors import SettingsError, UserError
from proxy.config.loading import load
from proxy.config.settings import (
    AdminSettings,
    ClientSettings,
    DrainSettings,
    LaneSettings,
    ListenSettings,
    LogSettings,
    OwnershipSettings,
    RelaySettings,
    Settings,
    TlsSettings,
    TraceSettings,
    UpstreamSettings,
)
from proxy.config.text import in_force, settings_as_text
from proxy.config.units import parse_duration

__all__ = [
    "AdminSettings",
    "ClientSettings",
    "DrainSettings",
    "LaneSettings",
    "ListenSettings",
    "LogSettings",
    "OwnershipSettings",
    "RelaySettings",
    "Settings",
    "SettingsError",
    "TlsSettings",
    "TraceSettings",
    "UpstreamSettings",
    "UserError",
    "changed",
    "in_force",
    "load",
    "parse_duration",
    "settings_as_text",
]
