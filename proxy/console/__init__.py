"""The commands that ask a running proxy: ``drain`` and ``status``.

``client`` asks its admin listener, which ``report`` does as well. ``commands`` has their options; ``draining`` and
``looking`` carry them out. All else is pure: ``diagnosis`` has the sentences of the status page, ``tables`` what stands
below them, ``progress`` the lines of a wait, and ``words`` what all are made of.
"""
