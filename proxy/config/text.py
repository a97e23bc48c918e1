"""The settings in force, for scripts and for people."""

import json
from pathlib import Path
from typing import Any

from proxy.config.changes import changed
from proxy.config.settings import Settings


def in_force(file: Path | None, settings: Settings) -> dict[str, Any]:
    """Every setting, and the file that they are from, if there is one; secrets are not shown."""
    return {"file": None if file is None else str(file), "settings": settings.model_dump(mode="json")}


def settings_as_text(file: Path | None, settings: Settings) -> str:
    """Those that are not the default, and what follows from the others."""
    others = [f"  {path}: {json.dumps(value)}" for path, value in changed(Settings(), settings).items()]
    return "\n".join(
        [
            f"The configuration can be used ({file or 'no file'}).",
            f"Browsers connect to {settings.listen.url}; Hermes is {settings.upstream.url}.",
            "Changed from the default:" if others else "Every setting has its default.",
            *others,
        ]
    )
