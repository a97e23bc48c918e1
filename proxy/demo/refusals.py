"""What the answers say that refuse a start for another reason than a running turn (F21)."""

from collections.abc import Mapping
from types import MappingProxyType

REFUSALS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "agent_running": {"ok": False, "action": "set", "message": "Agent is running.", "error": "agent_running"},
        "agent_runtime_stale": {"error": "Agent code changed.", "type": "agent_runtime_stale", "retryable": True},
        "compression_recovery_required": {
            "error": "This session exhausted context compression.",
            "type": "compression_recovery_required",
            "recommended_recovery_action": None,
            "compression_recovery": {},
        },
        "session_active": {"error": "session_active", "code": "session_active"},
        "stale_regeneration_revision": {
            "error": "regeneration_revision is required",
            "code": "stale_regeneration_revision",
        },
    }
)
"""By what ``Faults.refusal`` calls them."""
