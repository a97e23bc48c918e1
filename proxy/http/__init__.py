"""HTTP as bytes: the browsers' side, the backend's side, and carrying one to the other.

``downstream`` and ``upstream`` know nothing of each other. A ``downstream.server.Server`` turns what browsers send into
requests, and answers with what its handler returns, or with the ``errors.ProxyError`` that it raises. The handler asks
an ``upstream.upstream.Upstream``, on one of three ``upstream.lanes``.

``forward`` joins the two: its ``forward`` streams a whole exchange, ``exchange`` holds one, and ``asking_for`` opens an
answer to be read as it comes. Then ``downstream.response.begin`` answers with a backend's head, and ``reply`` with an
``Answer`` of one's own. ``tunnel`` joins them for a WebSocket.

What stands beside the two is their common ground: reading heads (``heads``) and bodies (``framing``), values, limits
and errors.
"""
