"""Two applications for uvicorn, which tells that the client has gone: one does not listen, the other stops its work."""

import asyncio

from work import SECONDS, work


async def answer(send):
    with work():
        await asyncio.sleep(SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})


async def until_gone(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def plain(scope, receive, send):
    await answer(send)


async def listening(scope, receive, send):
    answering = asyncio.create_task(answer(send))
    listening = asyncio.create_task(until_gone(receive))
    await asyncio.wait([answering, listening], return_when=asyncio.FIRST_COMPLETED)
    # Whichever is over, the other has no purpose any more.
    answering.cancel()
    listening.cancel()
    await asyncio.gather(answering, listening, return_exceptions=True)
