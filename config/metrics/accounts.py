"""What is counted of people's accounts: logins, guests, sessions, their safety."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

LOGINS: Final = Counter("kuaida_logins", "Login attempts by outcome.", ("outcome",))
CODES_OUTLASTED: Final = Counter(
    "kuaida_codes_outlasted",
    "Exchanges of login and phone codes that went on when their caller had no time.",
)
GUESTS: Final = Counter(
    "kuaida_guests",
    "Guests: opened; at login upgraded, linked, found taken or ended, refused.",
    ("outcome",),
)
STANDINGS: Final = Counter(
    "kuaida_standings",
    "Standings of users: asked of SQL by a login, loaded after Redis forgot or was "
    "started anew, put.",
    ("how",),
)
SESSIONS_HEALED: Final = Counter(
    "kuaida_sessions_healed", "Sessions found missing in a store and written again."
)
SESSIONS_REVIVED: Final = Counter(
    "kuaida_sessions_revived",
    "Ended sessions that Redis held as live: found by the reload (marked) or by a "
    "rotation in the journal (rotated) or in SQL (refused).",
    ("found",),
)
REFRESH_PROOFS: Final = Counter(
    "kuaida_refresh_proofs",
    "Refresh tokens that no stored hash proved, or that one refuted: unproven, forged.",
    ("outcome",),
)
SECURITY_EVENTS: Final = Counter(
    "kuaida_security_events",
    "Events of an account's safety: reuse, new devices, bans, conflicts.",
    ("kind",),
)
JWT_KEY_FAULTS: Final = Counter(
    "kuaida_jwt_key_faults",
    "Key files of access tokens that could not be read, or not rotated.",
    ("act",),
)

# Present from the start: see the package.
for _outcome in ("unproven", "forged"):
    REFRESH_PROOFS.labels(_outcome)
for _found in ("marked", "rotated", "refused"):
    SESSIONS_REVIVED.labels(_found)
