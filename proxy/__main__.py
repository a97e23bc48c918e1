"""``python -m proxy``: the same as ``hermes-stream-guard``."""

from proxy.cli import main

main()
