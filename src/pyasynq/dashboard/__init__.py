"""A dashboard for browsers, and its JSON API.

It needs the extra ``dashboard``.
"""

from pyasynq.dashboard.dashboard import Dashboard
from pyasynq.dashboard.login import (
    FileLogin,
    LoopbackLogin,
    NoLogin,
    ProxyLogin,
    hash_password,
    hash_token,
)
from pyasynq.dashboard.payloads import Redact
from pyasynq.dashboard.permissions import Authorize, Permission, Principal, Role

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
