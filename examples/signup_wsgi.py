"""Enqueue from a synchronous web application, as one would in Flask or Django.

The application is plain WSGI and needs no framework; in Flask the body of `application` would be a
view. In three terminals::

    cd examples
    pyasynq worker signup_wsgi:app
    python signup_wsgi.py
    curl -d email=ann@example.org http://127.0.0.1:8000/
"""

import os
import sys
import time
from collections.abc import Iterable
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIEnvironment

import pyasynq

URI = os.environ.get("PYASYNQ_URI", "sqlite:///tasks.db")  # or redis://127.0.0.1:6379

app = pyasynq.App(URI, concurrency=10)
client = pyasynq.SyncClient(URI)  # one for the whole process; threads share it


@app.task("mail:welcome", max_retry=10)
def send_welcome(email: str) -> None:
    """Send a mail. A plain function runs in a thread of the worker, so it may block."""
    time.sleep(0.5)
    print(f"welcome mail sent to {email}", flush=True)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a sign-up at once; a worker sends the mail."""
    form = parse_qs(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode())
    email = form.get("email", [""])[0]
    status, text = _sign_up(email) if email else ("400 Bad Request", "email is missing")
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]


def _sign_up(email: str) -> tuple[str, str]:
    try:
        info = client.enqueue(send_welcome.task(email=email))
    except pyasynq.BrokerError as error:
        return "503 Service Unavailable", f"try again later ({error})"
    return "202 Accepted", f"you will get a mail (task {info.id})"


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    with make_server("127.0.0.1", port, application) as server:
        print(f"serving on http://127.0.0.1:{port}/; end with Ctrl-C", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            client.close()
