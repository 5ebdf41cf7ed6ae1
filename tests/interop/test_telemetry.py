"""The context of a trace travels from Python to Go and back."""

from pyasynq import Client, Mux, Server, Task
from pyasynq.telemetry import ClientTelemetry, ServerTelemetry
from tests.interop.gopeer import Peer
from tests.interop.handlers import Handler
from tests.support.telemetry import Recorder, context_of, parent_id, traceparent_of


async def test_go_receives_the_context_of_a_python_producer(go_peer: Peer, redis_url: str) -> None:
    recorder = Recorder()
    middleware = [ClientTelemetry(**recorder.providers)]
    async with Client(redis_url, middleware=middleware) as client:
        await client.enqueue(Task("t", headers={"k": "v"}), queue="q")
    async with go_peer.work(queues="q") as worker:
        [event] = await worker.wait_for("start")
    headers = event["headers"]
    assert (headers["traceparent"], headers["k"]) == (traceparent_of(recorder.produced), "v")


async def test_a_python_run_is_a_child_of_the_span_that_go_names(
    go_peer: Peer, redis_url: str
) -> None:
    recorder = Recorder()
    handler = Handler()
    await go_peer.enqueue("t", headers={"traceparent": f"00-{7:032x}-{9:016x}-01"}, queue="q")
    server = Server(redis_url, queues={"q": 1})
    async with server.running(_within(recorder, handler)):
        await handler.wait_for()
    span = recorder.consumed
    assert (context_of(span).trace_id, parent_id(span)) == (7, 9)


def _within(recorder: Recorder, handler: Handler) -> Mux:
    mux = Mux()
    mux.use(ServerTelemetry(**recorder.providers))
    mux.handle("t")(handler)
    return mux
