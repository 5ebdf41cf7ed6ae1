"""HTTP/1.1 with time limits for clients."""

import asyncio
from collections.abc import Callable
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from member.web.heads import is_ambiguous
from member.web.shield import HEADERS

_REFUSAL = [
    (name.encode(), value.encode())
    for name, value in {
        "Content-Type": "text/plain; charset=utf-8",
        "Connection": "close",
        **HEADERS,
    }.items()
]


class PunctualProtocol(H11Protocol):
    """Ends connections whose next request does not begin within ``timeout_keep_alive``.

    uvicorn itself waits forever for a complete head: of the first request, and of each later one
    after its first byte. The time limit includes the rest of a body that a client still sends after
    the answer.
    """

    _cancel: Callable[[], None] = staticmethod(lambda: None)
    _stop_waiting: Callable[[], None] = staticmethod(lambda: None)

    @property
    def is_busy(self) -> bool:
        """Tell whether the client waits for an answer, and not the server for the client.

        A client that has sent only the head of a request does not count as waiting.
        """
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        return cycle is not None and not (cycle.more_body or cycle.response_complete)

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start the time limit of the first request."""
        super().connection_made(transport)
        self._expect_request()

    def handle_events(self) -> None:
        """Refuse a request that a proxy may have parsed differently, and everything after it.

        h11 itself would accept such heads.
        """
        if self.conn.their_state is h11.IDLE and is_ambiguous(self.conn.trailing_data[0]):
            self.send_400_response("Invalid HTTP request received.")
        else:
            super().handle_events()

    def send_400_response(self, msg: str) -> None:
        """Refuse an invalid request, with the headers of every answer, and end the connection.

        If an answer has begun, only end the connection: uvicorn would raise, and fill the log
        whenever a client wants.
        """
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            headers = [*self.server_state.default_headers, *_REFUSAL]
            refusal = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            for event in (refusal, h11.Data(data=msg.encode()), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        """Start the time limit of the next request, before it can begin."""
        self._expect_request()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Start the time limit for the client to read the answer."""
        super().pause_writing()
        self._stop_waiting = self.loop.call_later(
            self.timeout_keep_alive, self.transport.abort
        ).cancel

    def resume_writing(self) -> None:
        """Stop the time limit: the client has read some of the answer."""
        self._stop_waiting()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all time limits."""
        self._cancel()
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        self._cancel()
        self._cancel = self.loop.call_later(
            self.timeout_keep_alive, self._end_unless_begun, self.cycle
        ).cancel

    def _end_unless_begun(self, before: object) -> None:
        if self.cycle is before:
            self.transport.abort()
