"""HTTP as bytes: the browsers' side, the backend's side, and carrying one to the other.

A ``server.Server`` turns what browsers send, on the terms of its ``rules.Rules``, into
``request.Request`` and answers with what its handler returns, or with the ``errors.ProxyError``
it raises. The handler asks an
``upstream.Upstream``, on one of three ``lanes``: ``forward.forward`` streams a whole exchange,
``forward.exchange`` holds one, ``Upstream.request`` opens an answer to be read as it comes. Then
``response.begin`` answers with a backend's head, ``response.reply`` with an ``Answer`` of one's own.
"""
