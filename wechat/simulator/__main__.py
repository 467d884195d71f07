"""``python -m wechat.simulator``: the simulated WeChat as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys

from config.logging import configure_logging, get_logger
from config.settings import Settings, SettingsError, load_settings
from wechat.simulator.server import serve
from wechat.simulator.state import SimApp, SimState

_LOOPBACK = "127.0.0.1"


def state_of(settings: Settings) -> SimState:
    """Return an empty world with the apps of the settings."""
    return SimState(
        SimApp(
            app.app_id,
            app.secret.get_secret_value(),
            app.push_token.get_secret_value(),
            app.encoding_aes_key.get_secret_value(),
        )
        for app in settings.wechat.apps
    )


async def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    http = settings.http
    log = get_logger("wechat.simulator")
    server, pusher = await serve(
        state_of(settings),
        address=(http.sim_host, http.sim_port),
        backend=(_LOOPBACK, http.web_port),
    )
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    log.info("simulator ready", port=http.sim_port)
    await stopped.wait()
    server.close()
    await pusher.stop()
    log.info("simulator stopped")


def main() -> int:
    """Return the exit code: 1 for wrong settings or a busy port, in one line."""
    try:
        settings = load_settings()
        configure_logging(settings, "wechat")
        asyncio.run(run(settings))
    except (SettingsError, OSError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
