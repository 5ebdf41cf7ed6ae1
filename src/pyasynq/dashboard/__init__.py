"""A dashboard for browsers, and its JSON API.

It needs the extra ``dashboard``.
"""

from pyasynq.dashboard.dashboard import Dashboard
from pyasynq.dashboard.login import (
    Authorize,
    FileLogin,
    LoopbackLogin,
    NoLogin,
    ProxyLogin,
    hash_password,
    hash_token,
)
from pyasynq.operations.payloads import Redact
from pyasynq.operations.permissions import Permission, Principal, Role

__all__ = [
    "Authorize",
    "Dashboard",
    "FileLogin",
    "LoopbackLogin",
    "NoLogin",
    "Permission",
    "Principal",
    "ProxyLogin",
    "Redact",
    "Role",
    "hash_password",
    "hash_token",
]
