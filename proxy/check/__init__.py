"""Looking at a deployment before anybody depends on it: what Hermes there is, and what is unsafe about it.

``looking`` asks the backend, harmlessly, and gathers what it saw as ``evidence``; ``judging`` and ``safety`` make
``findings`` of it, and ``facts`` knows what the proxy does about the release that was found. ``report`` has it all
for scripts, and ``text`` for people.
"""

from proxy.check.evidence import Evidence
from proxy.check.looking import look, look_briefly
from proxy.check.report import Report, as_json
from proxy.check.text import as_text

__all__ = ["Evidence", "Report", "as_json", "as_text", "look", "look_briefly"]
