"""A web process as the tests of idempotent writes play it, and one that dies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.database import Database, open_database
from models.idempotency import Later, Once
from models.users import User
from web.errors import is_final
from web.services.idempotency import AnswerBook, Told

if TYPE_CHECKING:
    import sqlalchemy as sa

    from config.settings import Settings
    from models.database import UnitOfWork

ONCE = Once("u_1", "POST /x", "key", "body", "rq_1", 86_400)
# A web process that dies between the commit and the answer: its listener is the
# first thing that runs after a commit.
DYING = """
import os, signal
from config.settings import load_settings
from models.database import Nobody, open_database
from models.idempotency import Later, Once
from models.users import User
from tests.integration.idempotent_house import ONCE, SUBJECT
from web.errors import is_final
from web.services.idempotency import AnswerBook

class Death(Nobody):
    def wake_relay(self):
        os.kill(os.getpid(), signal.SIGKILL)

database = open_database(load_settings(dict(os.environ), env_file=None), Death())
later = SUBJECT if os.environ["LATER"] else None

def act(work):
    user = work.session.get_one(User, "u_1", with_for_update=True)
    user.login_count += 1
    work.enqueue("tasks.profile.anything", "u_1")
    work.session.flush()
    return [user.id, user.login_count]

book = AnswerBook(database, keeps=is_final)
book.answer(ONCE, lambda: database.transact(act, ONCE, later))
"""


def load_count(session: sa.orm.Session, user_id: str) -> list[object]:
    """Make the answer anew, as a route does with the operation it started."""
    return [user_id, session.get_one(User, user_id).login_count]


SUBJECT: Later[list[object]] = Later(lambda made: str(made[0]), load_count)


@dataclass
class Process:
    """One web process: its pool, its book, and how often a handler of it ran."""

    database: Database
    book: AnswerBook
    runs: int = 0

    def count(self, once: Once, later: Later[list[object]] | None = None) -> Told:
        """Count the user's logins up by one, once."""

        def act(work: UnitOfWork) -> list[object]:
            user = work.session.get_one(User, "u_1", with_for_update=True)
            user.login_count += 1
            work.session.flush()
            return ["u_1", user.login_count]

        def handle() -> object:
            self.runs += 1
            return self.database.transact(act, mine, later)

        mine = replace(once)
        return self.book.answer(mine, handle)

    def refuse(self, once: Once, error: Exception) -> Told:
        """Answer with an error."""

        def handle() -> object:
            self.runs += 1
            raise error

        return self.book.answer(replace(once), handle)


def open_process(settings: Settings) -> Process:
    database = open_database(settings)
    return Process(database, AnswerBook(database, keeps=is_final))
