"""How many transactions new tasks need."""

from pathlib import Path

from pyasynq import Client, Task
from pyasynq.broker.sqlite import SqliteBroker


async def test_what_enqueue_many_writes_at_once_is_one_transaction(tmp_path: Path) -> None:
    statements: list[str] = []
    async with Client(f"sqlite:///{tmp_path}/tasks.db") as client:
        await client.enqueue(Task("t"))
        assert isinstance(client.broker, SqliteBroker)
        (connection,) = client.broker._store.database._connections.values()
        connection.set_trace_callback(statements.append)
        await client.enqueue_many([Task("t")] * 256)
    assert statements.count("COMMIT") == 1
