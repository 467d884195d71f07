"""Flower's options, read by ``celery flower --conf``: a door that needs a key.

Every name here is an option of Flower 2.2; its own FLOWER_* variables lose to it.
"""

from config.settings import load_settings
from workers.flower_rows import hide_arguments

_settings = load_settings()

address = _settings.flower.host
port = _settings.flower.port
basic_auth = [_settings.secrets.flower_login.get_secret_value()]
read_only = _settings.flower.read_only
persistent = False
max_tasks = 10_000
purge_offline_workers = 300
auto_refresh = True
debug = False
format_task = hide_arguments
