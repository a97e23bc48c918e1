"""Times as operators read them."""

from datetime import UTC, datetime


def iso8601(at: float) -> str:
    """Seconds since the epoch as ``2031-05-07T09:30:00.250Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
