"""An OpenAI-shaped server that answers after a fixed delay, and a bare client: the floor of any runner on the same work.

python benchmarks/loopback.py serve DELAY_S            prints its port, serves until killed
python benchmarks/loopback.py client PORT CALLS JOBS   makes the calls with nothing around them
"""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp
from aiohttp import web


async def serve(delay_s: float) -> None:
    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        await asyncio.sleep(delay_s)
        text = body["messages"][-1]["content"]
        return web.json_response(
            {
                "id": "x",
                "model": body["model"],
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5},
            }
        )

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


async def client(port: int, calls: int, jobs: int) -> None:
    gate = asyncio.Semaphore(jobs)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=jobs)) as session:

        async def one(number: int) -> None:
            body = {"model": "m", "messages": [{"role": "user", "content": f"question number {number}"}], "temperature": 0}
            async with gate, session.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as reply:
                assert json.loads(await reply.read())["choices"][0]["message"]["content"]

        await asyncio.gather(*(one(number) for number in range(calls)))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(float(sys.argv[2])))
    else:
        asyncio.run(client(*map(int, sys.argv[2:5])))
