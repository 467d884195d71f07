"""The access token of one app: shared in Redis, refreshed by one process at a time.

`client` asks for it and reports a refused one. The store behind `token_store` is
`models.stores.access_tokens`; the source of the token is WeChat's stable_token API.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from config.clock import Deadline, now_ms
from models.china_time import day_of
from models.errors import RedisUnavailable
from models.waiting import wait_for
from wechat.calls import Caller
from wechat.errors import TokenStale, WeChatError, WeChatTimeout, WeChatUnreachable
from wechat.token_source import PATH, TokenSource
from wechat.token_store import HeldToken, StoredToken, TokenPolicy, TokenStore

# WeChat's own limits of forced mode.
FORCE_GAP_S: Final = 30.0
FORCE_A_DAY: Final = 20


class AccessTokens:
    """Hands out the token of one app and heals it; safe for threads and greenlets.

    The token never shows in a repr, a log line or an exception of this class.
    """

    def __init__(
        self,
        app: tuple[str, str],
        caller: Caller,
        store: TokenStore,
        *,
        policy: TokenPolicy,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """``app`` is (app id, secret); ``clock`` gives epoch milliseconds."""
        self._app_id = app[0]
        self._source = TokenSource(app, caller, policy, clock)
        self._store = store
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        # A stalled fetch must not collect all who need the token.
        self._queue = caller.new_bulkhead(PATH)
        self._held: StoredToken | None = None
        self._vain: tuple[str, int] = ("", 0)

    def get(self, deadline: Deadline) -> str:
        """Return a living token, fetching one only when nobody has any.

        Raises any WeChatError (``sent`` False: the business call has not begun).
        """
        held = self._held
        if held is not None and self._left_s(held) > self._policy.margin_s:
            return held.token
        living = self._living()
        if living and not self._lock.acquire(blocking=False):
            return living.token
        if not living:
            self._enter(deadline)
        try:
            return self._obtain(deadline).token
        finally:
            self._lock.release()

    def refresh_ahead(self, deadline: Deadline) -> bool:
        """Renew a token that nears its end; True when a later one was fetched.

        Raises any WeChatError when there is no living token to go on with.
        """
        self._enter(deadline)
        try:
            self._load()
            before = self._held
            if before and self._left_s(before) > self._policy.margin_s:
                return False
            after = self._obtain(deadline)
            return before is None or after.token != before.token
        finally:
            self._lock.release()

    def heal(self, refused: TokenStale, token: str, deadline: Deadline) -> str:
        """Return a token other than the ``token`` that was just ``refused``.

        Raises ``refused`` again when there is none to be had within WeChat's own
        limits, or the WeChatError of the attempt to fetch one.
        """
        self._enter(deadline)
        try:
            self._load()
            living = self._living()
            if living and living.token != token:
                return living.token
            if self._is_vain(token):
                raise refused
            healed = self._replace(token, deadline)
            if healed is None:
                pause_ms = round(self._policy.wait_s * 1000)
                self._vain = (token, self._clock() + pause_ms)
                raise refused
            return healed.token
        finally:
            self._lock.release()

    def _is_vain(self, token: str) -> bool:
        now = self._clock()
        return self._source.failing or (self._vain[0] == token and now < self._vain[1])

    def _enter(self, deadline: Deadline) -> None:
        if self._lock.acquire(blocking=False):
            return
        with self._queue.place(deadline):
            if not self._lock.acquire(timeout=max(0.0, deadline.remaining_s())):
                raise WeChatTimeout(PATH, "another refresh in this process", sent=False)

    def _left_s(self, token: StoredToken) -> float:
        return (token.expires_at_ms - self._clock()) / 1000

    def _living(self) -> StoredToken | None:
        held = self._held
        return held if held is not None and self._left_s(held) > 0 else None

    def _load(self) -> None:
        """Adopt what another process stored; without Redis keep the last good one."""
        try:
            stored = self._store.load(self._app_id)
        except RedisUnavailable:
            return
        held = self._held
        if stored is None or stored == held:
            return
        if (
            held is None
            or stored.fence > held.fence
            or (stored.expires_at_ms > held.expires_at_ms)
        ):
            self._held = stored

    def _obtain(self, deadline: Deadline) -> StoredToken:
        self._load()
        living = self._living()
        if living and self._left_s(living) > self._policy.margin_s:
            return living
        if living and self._source.pausing:
            return living
        if self._source.failing:
            raise WeChatUnreachable(PATH, "pause after a failed refresh", sent=False)
        try:
            return self._refresh(deadline)
        except WeChatError:
            if living:
                return living
            raise

    def _refresh(self, deadline: Deadline) -> StoredToken:
        try:
            fence = self._store.lease(self._app_id, self._policy.lease_s)
        except RedisUnavailable:
            return self._fetched(deadline)
        if fence is None:
            return self._living() or self._others(None, deadline)
        try:
            return self._share(self._fetched(deadline), fence)
        finally:
            self._release(fence)

    def _replace(self, token: str, deadline: Deadline) -> StoredToken | None:
        try:
            fence = self._store.lease(self._app_id, FORCE_GAP_S)
        except RedisUnavailable:
            alone = self._fetched(deadline)
            return alone if alone.token != token else None
        if fence is None:
            try:
                return self._others(token, deadline)
            except WeChatTimeout:
                return None
        return self._exchange(token, fence, deadline)

    def _exchange(
        self, token: str, fence: int, deadline: Deadline
    ) -> StoredToken | None:
        forced = False
        try:
            fetched = self._fetched(deadline)
            if fetched.token == token:
                if not self._may_force():
                    return None
                forced = True
                fetched = self._fetched(deadline, force=True)
            return self._share(fetched, fence)
        finally:
            # After forced mode the lease is left to run out: that is WeChat's gap
            # of 30 s between two forced refreshes, kept by all processes together.
            if not forced:
                self._release(fence)

    def _may_force(self) -> bool:
        today = day_of(self._clock()).name
        try:
            used = self._store.count_forced(self._app_id, today)
        except RedisUnavailable:
            return False
        return used <= FORCE_A_DAY

    def _others(self, unlike: str | None, deadline: Deadline) -> StoredToken:
        """Wait for the refresher in another process to store its token."""

        def stored() -> StoredToken | None:
            self._load()
            living = self._living()
            return living if living and living.token != unlike else None

        seconds = deadline.capped(self._policy.wait_s)
        found = wait_for(stored, seconds=seconds, every_s=self._policy.poll_s)
        if found is None:
            raise WeChatTimeout(PATH, "the refresh of another process", sent=False)
        return found

    def _fetched(self, deadline: Deadline, *, force: bool = False) -> HeldToken:
        found = self._source.fetch(deadline, force=force)
        # Until it is shared it counts as old as what we knew before.
        fence = self._held.fence if self._held else 0
        self._held = held = HeldToken(found.token, found.expires_at_ms, fence)
        return held

    def _share(self, fetched: StoredToken, fence: int) -> StoredToken:
        token = HeldToken(fetched.token, fetched.expires_at_ms, fence)
        self._held = token
        try:
            if not self._store.save(
                self._app_id, token.token, token.expires_at_ms, fence
            ):
                self._load()
        except RedisUnavailable:
            return token
        return self._held

    def _release(self, fence: int) -> None:
        try:
            self._store.release(self._app_id, fence)
        except RedisUnavailable:
            return
