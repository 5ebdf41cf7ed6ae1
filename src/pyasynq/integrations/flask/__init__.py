"""pyasynq in applications of Flask.

Needs the extra ``flask``.
"""

try:
    from pyasynq.integrations.flask.extension import Pyasynq
    from pyasynq.integrations.flask.responses import result_response
except ModuleNotFoundError as _error:
    _error.add_note("install the extra flask: pip install 'pyasynq[flask]'")
    raise

__all__ = ["Pyasynq", "result_response"]
