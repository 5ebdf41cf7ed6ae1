"""pyasynq in applications of FastAPI and Starlette.

Needs the extra ``fastapi``, or Starlette alone.
"""

try:
    from pyasynq.integrations.fastapi.dependencies import AfterResponse, get_app, get_client
    from pyasynq.integrations.fastapi.lifespans import lifespan
    from pyasynq.integrations.fastapi.responses import ResultEvents, ResultResponse
except ModuleNotFoundError as _error:
    _error.add_note("install the extra fastapi: pip install 'pyasynq[fastapi]'")
    raise

__all__ = [
    "AfterResponse",
    "ResultEvents",
    "ResultResponse",
    "get_app",
    "get_client",
    "lifespan",
]
