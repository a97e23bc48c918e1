"""The admin listener's application: health, metrics, what runs, what happened, draining, and a page that shows it.

``application`` puts it together. ``listener`` listens, ``limit`` bounds how many connect, ``connection`` is one
operator's, and ``reader`` reads its requests. ``admission`` says who may ask, ``errors`` what is answered to whoever
may not, ``headers`` what every answer has, ``calls`` answers everybody else, ``events`` follows what happens, and
``page`` is the status page.
"""

from proxy.ops.admin.admission import Admission
from proxy.ops.admin.application import application
from proxy.ops.admin.listener import inheriting, listening

__all__ = ["Admission", "application", "inheriting", "listening"]
