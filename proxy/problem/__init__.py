"""The problem report: one file without secrets, which `verify` and whoever mends the proxy can read.

``gathering`` asks and reads: the settings, Hermes by way of ``check``, the admin listener, a log and a trace. All else
is pure. ``knowing`` collects the secrets that are known, and ``masking`` takes out those and whatever looks like one;
``words`` lists the fields whose text is the proxy's own. ``loglines``, ``tracebacks`` and ``traces`` choose what is of
use of a log and a trace, and ``composing`` makes the file's text of it all.
"""

from proxy.problem.gathering import Wanted, report, write

__all__ = ["Wanted", "report", "write"]
