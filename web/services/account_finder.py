"""Finds the user that support means by a name, in either store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.account_names import find_owners, list_named
from models.errors import Conflict, NotFound
from models.sealing import IdentityHasher
from models.session_ends import Owner

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores


class AccountFinder:
    """Looks into SQL first; Redis knows those whose first login is not enriched yet."""

    def __init__(self, settings: Settings, stores: Stores, database: Database) -> None:
        self._apps = [app.app_id for app in settings.wechat.apps]
        self._hasher = IdentityHasher(settings.secrets.id_key)
        self._store = stores.session_list
        self._database = database

    def find(self, name: str) -> Owner:
        """Return the user, under its own id where ``name`` is an alias.

        Raises `NotFound` when neither store knows it, `RedisUnavailable` when SQL
        does not and Redis cannot be asked, `DatabaseUnavailable`, and `Conflict` for
        a support code of two users.
        """
        with self._database.read() as session:
            named = list_named(session, self._hasher, self._apps, name)
            found = find_owners(session, named)
        if not found:
            found = [late for late in map(self._late, named) if late is not None]
        if not found:
            raise NotFound("nobody we know")
        if len(found) > 1:
            raise Conflict("more than one user")
        return found[0]

    def _late(self, user_id: str) -> Owner | None:
        copies = self._store.newest(user_id, 1)
        return Owner(user_id, copies[0].app_id) if copies else None
