"""Putting the sources together: a flag beats the environment, which beats the file."""

import json
import os
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from proxy.config.errors import SettingsError
from proxy.config.problems import describe
from proxy.config.settings import Settings
from proxy.config.sources import from_environment, from_file, from_flags, merge


def load(
    file: Path | None = None,
    *,
    upstream: str | None = None,
    listen: str | None = None,
    admin: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings to run with; what no source sets has its default.

    Args:
        file: A YAML file, or ``None`` for none.
        upstream: The value of ``--upstream``, a URL.
        listen: The value of ``--listen``: ``HOST:PORT``, ``[::1]:PORT`` or ``unix:///path``.
        admin: The value of ``--admin``: ``HOST:PORT`` or ``[::1]:PORT``.
        environ: Where variables such as ``STREAM_GUARD__UPSTREAM__URL`` are looked up.

    Raises:
        SettingsError: Something cannot be used. One sentence that names the flag, the variable or
            the file's line, the setting, and what it should be.
    """
    sources = [*from_flags(upstream=upstream, listen=listen, admin=admin), from_environment(environ)]
    if file is not None:
        sources.append(from_file(file))
    tree: Any = reduce(merge, [source.tree for source in reversed(sources)])
    try:
        # As JSON, because that is where pydantic's strict mode takes text for a path and a list
        # for a tuple, and still refuses "8788" for a port. Dates are no setting: text again.
        return Settings.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        raise SettingsError(describe(error, [source.origins for source in sources])) from error
