"""The instrument reads what things cost from Linux' /proc, and is left alone elsewhere."""

import sys

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]
