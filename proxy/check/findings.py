"""One thing to know about a deployment: what it is, why it matters, and what to do."""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Severity(Enum):
    """How much a finding matters."""

    ERROR = "error"
    """It does not work, or anybody may do as they like."""
    WARNING = "warning"
    """It works, less well or less safely than it should."""
    NOTE = "note"
    """Worth knowing; nothing has to be done."""


ERROR: Final = Severity.ERROR
WARNING: Final = Severity.WARNING
NOTE: Final = Severity.NOTE


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; `code` is what scripts go by, the rest is for people, a sentence each."""

    code: str
    severity: Severity
    what: str
    why: str
    todo: str
