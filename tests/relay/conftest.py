"""The embedded backend with the proxy in front of it, over real TCP."""

from tests.support.fixtures import make_lab, release

__all__ = ["make_lab", "release"]
