"""Go's servers ignore what operators want of ours, and Go's inspector sees what ours do."""

from pyasynq import Client, Inspector, Server, ServerInfo, Task
from tests.interop.gopeer import Event, Peer
from tests.interop.handlers import Handler
from tests.interop.outcomes import ids
from tests.interop.polling import answer, until


async def by_pid(go_peer: Peer, pid: int) -> Event:
    """Return the server in the process *pid* as Go's inspector reads it."""
    return next(it for it in await go_peer.inspect("servers") if it["pid"] == pid)


async def test_a_go_server_goes_on_while_ours_is_controlled(go_peer: Peer, redis_url: str) -> None:
    handler = Handler()
    server = Server(redis_url, queues={"q": 1}, deployment="shop")
    async with (
        Client(redis_url) as client,
        Inspector(redis_url) as inspector,
        go_peer.work(queues="q") as go,
        server.running(handler),
    ):

        async def both() -> list[ServerInfo] | None:
            return servers if len(servers := await inspector.servers()) == 2 else None

        await answer(both)
        (ours,) = await inspector.control("*", quiet=True, concurrency=7, queues={"q": 2, "r": 1})
        assert ours.id == server.id

        async def changed() -> Event | None:
            read = await by_pid(go_peer, ours.pid)
            return read if read["status"] == "stopped" else None

        read = await answer(changed)
        assert (read["concurrency"], read["queues"]) == (7, {"q": 2, "r": 1})
        infos = await client.enqueue_many([Task("t")] * 20, queue="q")
        await until(lambda: len(go.seen("done")) == 20)
        assert {event["id"] for event in go.seen("done")} == set(ids(infos))
        assert handler.tasks == []
        [theirs] = [it for it in await go_peer.inspect("servers") if it["pid"] != ours.pid]
        assert (theirs["status"], theirs["queues"]) == ("active", {"q": 1})
