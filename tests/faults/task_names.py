"""The names of the drills' tasks and the table of their effects; it adds nothing.

A task's name decides its lane, so these carry the names of the modules whose work they
stand for. The bodies are in `drill_tasks`.
"""

from __future__ import annotations

COUNT = "tasks.sync.drill_count"
URGENT = "tasks.logins.drill_count"
BULK = "tasks.exports.drill_count"
POISON = "tasks.sync.drill_poison"
HOLD = "tasks.notifications.drill_hold"
RACE = "tasks.sync.drill_race"
SLOT = "tasks.maintenance.drill_slot"
LONG = "tasks.notifications.drill_long"

# Jobs of a few seconds for the clock's drill: how many, and how long a slot is.
SHORT_JOBS, SHORT_S = "DRILL_JOBS", 2

# A broker that waits for a shorter time than the settings allow.
IMPATIENCE_S = "DRILL_VISIBILITY_TIMEOUT_S"

# No key forbids a second row: the drill counts what the guards let through.
TABLE = (
    "CREATE TABLE drill_effects (n BIGINT AUTO_INCREMENT PRIMARY KEY, "
    "outbox_id VARCHAR(40) NOT NULL, what VARCHAR(16) NOT NULL, attempt INT NOT NULL, "
    "at BIGINT NOT NULL, KEY (outbox_id))"
)
