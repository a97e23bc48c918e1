"""The admin listener's application over real TCP, in front of a guard that is what the test says."""

from tests.ops.admin.conftest import guard, serve

__all__ = ["guard", "serve"]
