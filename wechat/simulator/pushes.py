"""Delivers the simulator's events to the backend's push route, as WeChat would.

Five seconds a try, a bounded number of tries, then the event is dropped: a backend
that is away or has no such route never disturbs the simulator.
"""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import orjson

from config.logging import get_logger
from wechat.push import PushCipher, push_signature
from wechat.simulator.state import PushEvent, SimApp, SimState

ANSWER_WITHIN_S = 5.0
RETRY_PAUSE_S = 1.0
MOST_AT_ONCE = 64
_HEAD_BYTES = 256

log = get_logger(__name__)


def push_request(app: SimApp, event: PushEvent, *, now_ms: int, nonce: str) -> bytes:
    """Return the whole HTTP request: safe mode when the app has an AES key."""
    timestamp = str(now_ms // 1000)
    query = {
        "signature": push_signature(app.push_token, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
    }
    body = orjson.dumps(event.message)
    if app.encoding_aes_key:
        cipher = PushCipher(app.encoding_aes_key, app.app_id).encrypt(body)
        signature = push_signature(app.push_token, timestamp, nonce, cipher)
        query |= {"openid": event.openid, "encrypt_type": "aes"}
        query["msg_signature"] = signature
        body = orjson.dumps(
            {"ToUserName": event.message["ToUserName"], "Encrypt": cipher}
        )
    target = "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())
    head = (
        f"POST /wechat/push/{app.app_id}?{target} HTTP/1.1\r\nHost: backend\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


class Pusher:
    """Takes events from the state and delivers them in the background."""

    def __init__(self, state: SimState, host: str, port: int) -> None:
        self._state = state
        self._address = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(MOST_AT_ONCE)

    def wake(self) -> None:
        """Start the delivery of every waiting event."""
        while self._state.events:
            event = self._state.events.popleft()
            task = asyncio.get_running_loop().create_task(self._deliver(event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up what is still under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, event: PushEvent) -> None:
        await asyncio.sleep(event.delay_ms / 1000)
        async with self._places:
            for attempt in range(1, self._state.rules.push_attempts + 1):
                if await self._try(event):
                    return
                await asyncio.sleep(RETRY_PAUSE_S * attempt)
        log.info("push dropped", event_kind=event.message["Event"])

    async def _try(self, event: PushEvent) -> bool:
        app = self._state.apps[event.app_id]
        nonce = str(self._state.rng.randrange(10**9))
        request = push_request(app, event, now_ms=self._state.now(), nonce=nonce)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self._exchange(request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False

    async def _exchange(self, request: bytes) -> bool:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(request)
            await writer.drain()
            head = await reader.read(_HEAD_BYTES)
            return b" 200 " in head.partition(b"\r\n")[0]
        finally:
            writer.close()
