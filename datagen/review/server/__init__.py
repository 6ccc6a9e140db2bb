"""A real Argilla server on this machine, in an environment of its own.

``serve`` starts and stops it, ``find`` tells where a running one is. It needs no Docker, no
Elasticsearch and no Redis: see :mod:`datagen.review.server.inside`.
"""

from datagen.review.server.credentials import Credentials, User
from datagen.review.server.serve import DEFAULT_PORT, Server, find, serve

__all__ = ["DEFAULT_PORT", "Credentials", "Server", "User", "find", "serve"]
