"""Read what a command serves over HTTP."""

import urllib.request

import anyio


async def read_page(address: str) -> str:
    """Return the metrics page, or nothing if nobody serves it."""

    def read() -> str:
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    return await anyio.to_thread.run_sync(read)
