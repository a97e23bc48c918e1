"""The composition root: the only room that names concrete parts.

``compose`` puts the guard together, ``running`` has it listen, ``admin`` shows it to operators, ``serve`` and ``demo``
run it as commands do. How a process ends and changes its settings meanwhile is in ``lifecycle`` and ``reload``.
"""

from proxy.app.compose import Guard, compose, limits_of
from proxy.app.running import Running, running
from proxy.app.serve import demo, serve

__all__ = ["Guard", "Running", "compose", "demo", "limits_of", "running", "serve"]
