"""`make demo`: one mini-program user against the running stack, each step timed.

Only what a phone could do, plus the simulator's control API in place of the phone.
"""

from __future__ import annotations

import http.client
import json
import sys
from typing import Any

from config.clock import Deadline, monotonic, sleep
from config.dev.ports import reachable, uses_simulator
from config.settings import Settings, SettingsError, load_settings

TIMEOUT_S = 10.0
ENRICHED_MS = 15_000
POLL_S = 0.05
OK = 200
Data = dict[str, Any]


class DemoFailed(Exception):
    """A step did not answer as it should; the text says what to do."""


class Caller:
    """One server; every call is timed and checked."""

    def __init__(self, host: str, port: int) -> None:
        self._link = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        self._where = f"{host}:{port}"
        self.token = ""

    def call(self, method: str, path: str, body: Data | None = None) -> Data:
        """Return the answer's body; raises DemoFailed with reason and request id."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        text = None if body is None else json.dumps(body)
        try:
            self._link.request(method, path, text, headers)
            answer = self._link.getresponse()
            found: Data = json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            words = f"{self._where}{path}: {error!r}. Is `make run` running?"
            raise DemoFailed(words) from error
        if answer.status != OK:
            raise DemoFailed(f"{method} {path}: {answer.status} {found}")
        return found

    def data(self, method: str, path: str, body: Data | None = None) -> Data:
        """Return the envelope's data, empty when there is none."""
        data: Data | None = self.call(method, path, body)["data"]
        return data or {}


class Script:
    """Prints each step with its time."""

    def __init__(self) -> None:
        self._began = monotonic()

    def step(self, words: str) -> None:
        """Print a finished step and start the next one's clock."""
        took = (monotonic() - self._began) * 1000
        print(f"{took:9.1f} ms  {words}", flush=True)
        self._began = monotonic()


def log_in(web: Caller, simulator: Caller, script: Script) -> Data:
    """Become a new user; return the tokens."""
    user = simulator.call("POST", "/_sim/users", {"nickname": "Xiao Ming"})
    script.step("WeChat has a new user")
    wanted = {"openid": user["openid"], "kind": "login"}
    code = simulator.call("POST", "/_sim/codes", wanted)["code"]
    script.step("wx.login gave the page a code")
    tokens = web.data("POST", "/api/v1/auth/login", {"code": code})
    web.token = tokens["access_token"]
    state = tokens["enrichment"]["state"]
    script.step(f"logged in as {tokens['user']['id']}; enrichment {state}")
    return tokens


def wait_for_enrichment(web: Caller, script: Script) -> None:
    """Watch /me until the worker's work shows."""
    me = web.data("GET", "/api/v1/me")
    script.step(f"/me at once: login_count {me['login_count']}")
    deadline = Deadline.after_ms(ENRICHED_MS)
    while not me["login_count"] or me["profile_state"] == "pending":
        if deadline.expired:
            raise DemoFailed("no enrichment in 15 s: see relay.log and worker.log")
        sleep(POLL_S)
        me = web.data("GET", "/api/v1/me")
    script.step(f"a Celery worker enriched it: login_count {me['login_count']}")


def use_account(web: Caller, tokens: Data, script: Script) -> None:
    """Change the profile, refresh the tokens, log out."""
    me = web.data("PATCH", "/api/v1/me", {"nickname": "Ming"})
    script.step(f"profile changed: nickname {me['nickname']}")
    wanted = {"refresh_token": tokens["refresh_token"]}
    web.token = ""
    web.token = web.data("POST", "/api/v1/auth/refresh", wanted)["access_token"]
    script.step("tokens refreshed")
    gone = web.data("POST", "/api/v1/auth/logout", {"scope": "this"})
    script.step(f"logged out: {gone['revoked']} session(s) revoked")


def play(settings: Settings) -> None:
    """Play the whole story; raises DemoFailed where it breaks."""
    if not uses_simulator(settings):
        raise DemoFailed("the demo needs the simulator: unset WECHAT_API_BASE")
    http_ = settings.http
    web = Caller(reachable(http_.web_host), http_.web_port)
    simulator = Caller(reachable(http_.sim_host), http_.sim_port)
    script = Script()
    tokens = log_in(web, simulator, script)
    wait_for_enrichment(web, script)
    use_account(web, tokens, script)


def main() -> int:
    """Return 0 after the whole story, 1 with one clear line otherwise."""
    try:
        play(load_settings())
    except (DemoFailed, SettingsError, KeyError) as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
