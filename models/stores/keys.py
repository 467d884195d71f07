"""Every Redis key name and how long it lives; no other module spells a key."""

from __future__ import annotations

from typing import NamedTuple


class KeyFamily(NamedTuple):
    """A kind of key: its pattern, its life, and why it lives that long."""

    pattern: str
    life: str
    reason: str


KEY_FAMILIES = (
    KeyFamily("bucket:{rule}:{id}", "until full again", "a full bucket says nothing"),
    KeyFamily("failures:{ip}:{device}", "LOGIN_FAILURES", "failed logins, fading"),
    KeyFamily("locked:{ip}:{device}", "LOGIN_FAILURES", "locked out until it ends"),
    KeyFamily("failing", "LOGIN_FAILURES", "where logins failed, for who asks"),
    KeyFamily("refused", "REFUSED_LIFE_S", "whom the limits refused, counted"),
    KeyFamily("refusals", "REFUSALS_LIFE_S", "why requests were refused, one by one"),
    KeyFamily("refusal-shares", "REFUSALS_SHARE_S", "a flood fills no book of others"),
    KeyFamily("figures:{kind}:{id}", "3 times RISK_WINDOW_S", "then all has faded"),
    KeyFamily("busy", "3 times RISK_WINDOW_S", "who is worth a look by the rules"),
    KeyFamily("watched:{device}", "until its weight has faded", "SQL has the marks"),
    KeyFamily("code:{app}:{hash}", "CODE_LIFE_S", "WeChat's codes live 5 minutes"),
    KeyFamily("spent:{app}:{hash}", "CODE_LIFE_S", "a code whose answer was lost"),
    KeyFamily("session:{id}", "REFRESH_TOKEN_S", "as long as its refresh token"),
    KeyFamily("sessions:{user}", "SESSION_MAX_S", "ids for 'log out everywhere'"),
    KeyFamily("standing:{user}", "none", "bans must not run out; few users have one"),
    KeyFamily("standings", "none", "this server lacks no standing and no end"),
    KeyFamily("standings-seen", "none", "a copy of Redis tells by it how old it is"),
    KeyFamily(
        "standings-loading",
        "LOADING_LIFE_S",
        "loaders see by it whether Redis was wiped",
    ),
    KeyFamily("wxkey:{user}", "SESSION_KEY_S", "sealed; WeChat never tells the life"),
    KeyFamily("wxkey-old:{user}", "SESSION_KEY_PREVIOUS_S", "data encrypted before it"),
    KeyFamily("wxkey-said:{user}:{tag}", "SESSION_KEY_VERDICT_S", "WeChat's word"),
    KeyFamily("wxkey-ask:{user}:{tag}", "FLIGHT_LEASE_MS", "one asks WeChat at a time"),
    KeyFamily("user:{id}", "USER_CACHE_S with jitter", "profile as clients see it"),
    KeyFamily("load:user:{id}", "FLIGHT_LEASE_MS", "one loader at a time"),
    KeyFamily("wxtoken:{app}", "expires_in of the answer", "access token, sealed"),
    KeyFamily("wxtoken-forced:{app}:{day}", "2 days", "20 forced refreshes a day"),
    KeyFamily("wxshut", "SHUT_PATHS_LIFE_S", "a path nobody probes is tried anew"),
    KeyFamily("lock:{name}", "ttl of the caller", "a dead owner lets go"),
    KeyFamily("fence:{name}", "FENCE_LIFE_S", "fences rise though a clock goes back"),
    KeyFamily("logins", "none", "journal: entries go when their rows are committed"),
    KeyFamily("events", "EVENTS_LIFE_S", "tail of user events; SQL has them all"),
    KeyFamily("signal:{name}", "SIGNAL_LIFE_S", "wakes who waits for the name"),
)

# A signal nobody took within a minute has been overtaken by its waiter's poll.
SIGNAL_LIFE_S = 60
# The clock alone keeps fences rising; no clock is set back by a month.
FENCE_LIFE_S = 30 * 24 * 3600
# Whoever has heard nothing for so long has asked SQL many times (EVENTS_POLL_S).
EVENTS_LIFE_S = 600
# Longer than any single-row SELECT is allowed to take.
FLIGHT_LEASE_MS = 5000
# Probes renew it every few seconds while anybody calls the path.
SHUT_PATHS_LIFE_S = 600
# The loader of standings; a million take about a minute.
LOADING_LIFE_S = 600
FORCED_COUNT_S = 2 * 24 * 3600
# Of today's flood, not of yesterday's; about 100 bytes for each of the refused.
REFUSED_LIFE_S = 3600
REFUSED_MOST = 1000
# Support is called today or tomorrow; `REFUSALS_KEPT` bounds them sooner.
REFUSALS_LIFE_S = 2 * 24 * 3600
# The lines of one bucket or user within a minute: a person's page, and of a flood
# its beginning.
REFUSALS_SHARE = 20
REFUSALS_SHARE_S = 60
# As many places; what falls out is still locked, but not found by its name alone.
FAILING_MOST = 1000
# The rule of lock-outs, beside those of the buckets.
LOCK_OUT = "login.failures"


class Keys:
    """Names of one deployment's keys; ``prefix`` keeps neighbours apart."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix + ":"
        self.logins = f"{prefix}:logins"
        self.events = f"{prefix}:events"
        self.shut_paths = f"{prefix}:wxshut"
        self.refused = f"{prefix}:refused"
        self.refusals = f"{prefix}:refusals"
        self.refusal_shares = f"{prefix}:refusal-shares"
        self.failing = f"{prefix}:failing"
        self.busy = f"{prefix}:busy"
        self.standings = f"{prefix}:standings"
        self.standings_seen = f"{prefix}:standings-seen"
        self.standings_loading = f"{prefix}:standings-loading"

    def bucket(self, rule: str, subject: str) -> str:
        """Token bucket of ``rule`` (``login.ip``) for one subject."""
        return f"{self._prefix}bucket:{rule}:{subject}"

    def failures(self, ip: str, device: str) -> str:
        """Count of failed logins of a device behind an address."""
        return f"{self._prefix}failures:{ip}:{device}"

    def locked(self, ip: str, device: str) -> str:
        """Lock of a device behind an address."""
        return f"{self._prefix}locked:{ip}:{device}"

    def figures(self, kind: str, subject: str) -> str:
        """Figures of behaviour of a ``user`` or ``device``."""
        return f"{self._prefix}figures:{kind}:{subject}"

    def watched(self, device: str) -> str:
        """Mark of a device on the watch list."""
        return f"{self._prefix}watched:{device}"

    def code(self, app_id: str, code_hash: str) -> str:
        """Flight or record of one login code, by its hash."""
        return f"{self._prefix}code:{app_id}:{code_hash}"

    def spent_code(self, app_id: str, code_hash: str) -> str:
        """Note that WeChat may have used a code up without our hearing of it."""
        return f"{self._prefix}spent:{app_id}:{code_hash}"

    def session(self, session_id: str) -> str:
        """Fast copy of a session."""
        return f"{self._prefix}session:{session_id}"

    def sessions(self, user_id: str) -> str:
        """Ids of a user's sessions, scored by creation."""
        return f"{self._prefix}sessions:{user_id}"

    def standing(self, user_id: str) -> str:
        """Epoch, ban, action and alias of a user."""
        return f"{self._prefix}standing:{user_id}"

    def wechat_key(self, user_id: str) -> str:
        """Sealed session_key, openid and unionid of a user."""
        return f"{self._prefix}wxkey:{user_id}"

    def previous_key(self, user_id: str) -> str:
        """Sealed key of before the newest login, for a while."""
        return f"{self._prefix}wxkey-old:{user_id}"

    def key_verdict(self, user_id: str, tag: str) -> str:
        """Answer of WeChat about the session_key with this tag."""
        return f"{self._prefix}wxkey-said:{user_id}:{tag}"

    def key_check(self, user_id: str, tag: str) -> str:
        """Lease of whoever asks WeChat about this key."""
        return f"{self._prefix}wxkey-ask:{user_id}:{tag}"

    def user(self, user_id: str) -> str:
        """Profile as clients see it, cached."""
        return f"{self._prefix}user:{user_id}"

    def user_load(self, user_id: str) -> str:
        """Lease of whoever loads the profile."""
        return f"{self._prefix}load:user:{user_id}"

    def access_token(self, app_id: str) -> str:
        """Sealed WeChat access token of an app."""
        return f"{self._prefix}wxtoken:{app_id}"

    def forced_refreshes(self, app_id: str, day: str) -> str:
        """Count of forced refreshes on one day."""
        return f"{self._prefix}wxtoken-forced:{app_id}:{day}"

    def lock(self, name: str) -> str:
        """Mutual exclusion under a name."""
        return f"{self._prefix}lock:{name}"

    def fence(self, name: str) -> str:
        """Last fence of the lock under a name."""
        return f"{self._prefix}fence:{name}"

    def signal(self, name: str) -> str:
        """Signal to one who waits for a name."""
        return f"{self._prefix}signal:{name}"


def parts_of_bucket(key: str) -> tuple[str, str]:
    """Return rule and subject of the bucket, or of the lock, that ``key`` names."""
    before, _, named = key.partition(":bucket:")
    before_lock, _, place = key.partition(":locked:")
    if len(before_lock) < len(before):
        return LOCK_OUT, place
    rule, _, subject = named.partition(":")
    return rule, subject
