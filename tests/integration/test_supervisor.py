"""The runner of `make run` with small processes in place of the real ones."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.integration.runner import ROOT, alive, polite, python, runs_in


@pytest.fixture
def start(tmp_path):
    with runs_in(tmp_path) as begin:
        yield begin


def test_all_come_up_and_a_stop_lets_running_work_finish(start, tmp_path):
    run = start(
        {
            "alpha": polite(tmp_path, "alpha", finish_s=1.0),
            "beta": polite(tmp_path, "beta", finish_s=0.0),
        }
    )
    run.until(run.ready)
    pids = [run.pid(name) for name in ("alpha", "beta", "redis")]
    assert all(map(alive, pids))
    # The work hears SIGTERM only once it listens for it.
    run.until(lambda: b"plain" in (run.var / "log/alpha.log").read_bytes())
    run.until(lambda: b"plain" in (run.var / "log/beta.log").read_bytes())

    took = run.stop()

    assert took < 40
    assert run.process.returncode == 0
    assert (tmp_path / "alpha.done").read_text() == "finished"
    assert not any(map(alive, pids))
    assert not list((run.var / "run").glob("*.pid"))
    assert not (run.var / "run/ready").exists()


def test_each_line_of_a_log_file_is_json_and_redacted(start, tmp_path):
    code = "import time\nprint('secret=abc123 and 13800138000', flush=True)\n"
    run = start({"alpha": python(code + "time.sleep(60)", tmp_path, "alpha")})
    run.until(run.ready)
    text = run.until((run.var / "log/alpha.log").read_text)
    event = json.loads(text.splitlines()[0])
    assert event["process"] == "alpha"
    assert "13800138000" not in text
    assert "abc123" not in text


def test_a_killed_main_process_comes_back_and_its_children_do_not_stay(start, tmp_path):
    child = tmp_path / "child.pid"
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(child)!r}, 'w').write(str(p.pid))\n"
        "time.sleep(60)\n"
    )
    run = start({"alpha": python(code, tmp_path, "alpha")})
    run.until(run.ready)
    orphan = run.until(lambda: int(child.read_text() or 0) if child.exists() else 0)
    first = run.pid("alpha")
    os.kill(first, signal.SIGKILL)
    second = run.until(lambda: run.pid("alpha") not in {0, first} and run.pid("alpha"))
    assert alive(second)
    run.until(lambda: not alive(orphan))


def test_redis_comes_back_with_its_data_folder(start, tmp_path):
    run = start({"alpha": polite(tmp_path, "alpha", finish_s=0.0)})
    run.until(run.ready)
    first = run.pid("redis")
    os.kill(first, signal.SIGKILL)
    run.until(lambda: run.pid("redis") not in {0, first})
    assert (run.var / "redis" / "appendonlydir").exists()


def test_a_stubborn_process_is_killed_in_time(start, tmp_path):
    code = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\ntime.sleep(60)\n"
    )
    run = start({"alpha": python(code, tmp_path, "alpha")}, STOP_GRACE_S="1")
    run.until(run.ready)
    run.until(lambda: b"deaf" in (run.var / "log/alpha.log").read_bytes())
    pid = run.pid("alpha")
    assert 1.0 <= run.stop() < 40
    assert not alive(pid)


def test_nothing_is_left_when_the_runner_itself_is_killed(start, tmp_path):
    run = start({"alpha": polite(tmp_path, "alpha", finish_s=0.2)})
    run.until(run.ready)
    run.until(lambda: b"plain" in (run.var / "log/alpha.log").read_bytes())
    pids = [run.pid("alpha"), run.pid("redis")]
    run.stop(signal.SIGKILL)
    run.until(lambda: not any(map(alive, pids)))
    assert (tmp_path / "alpha.done").read_text() == "finished"
    run.until(lambda: not (run.var / "run/ready").exists())


def test_a_process_that_cannot_start_is_named_with_its_last_words(start, tmp_path):
    code = "raise SystemExit('no such table')\n"
    run = start(
        {
            "relay": python(code, tmp_path, "relay"),
            "beta": polite(tmp_path, "beta", finish_s=0.0),
        }
    )
    run.process.wait(60)
    run.output.seek(0)
    said = run.output.read()
    assert run.process.returncode == 1
    assert "make run: relay does not start (exit code 1)" in said
    assert "no such table" in said


def test_a_second_runner_on_the_same_folder_is_refused(tmp_path):
    script = (
        "from pathlib import Path; import sys\n"
        "from config.dev.__main__ import NotPossible, alone\n"
        "folder = Path(sys.argv[1])\n"
        "with alone(folder):\n"
        "    try:\n"
        "        with alone(folder): pass\n"
        "    except NotPossible as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "another `make run` uses" in said


TURNING = """
import sys, time
from pathlib import Path
sign = Path({sign!r})
while True:
    sign.touch()
    time.sleep(0.2)
"""


def test_a_frozen_process_is_replaced_with_all_it_owns(start, tmp_path):
    child = tmp_path / "child.pid"
    family = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
        f"open({str(child)!r}, 'w').write(str(p.pid))\n"
    )
    run_dir = tmp_path / "var" / "run"
    names = ("alpha", "turns", "quiet")
    signs = {name: str(run_dir / f"{name}.alive") for name in names}
    codes = {
        "alpha": family + TURNING.format(sign=signs["alpha"]),
        "turns": TURNING.format(sign=signs["turns"]),
        # Leaves no sign at all: it may wait for a store as long as it takes.
        "quiet": "import time; time.sleep(99)",
    }
    processes = {name: python(codes[name], tmp_path, name) for name in names}
    run = start(processes, FROZEN_AFTER_S="10")
    run.until(run.ready)
    run.until((run_dir / "alpha.alive").exists)
    before = {name: run.pid(name) for name in names}
    owned = int(child.read_text())

    os.kill(before["alpha"], signal.SIGSTOP)
    run.until(lambda: run.pid("alpha") not in {0, before["alpha"]}, seconds=90)

    run.until(lambda: not alive(before["alpha"]) and not alive(owned))
    assert run.pid("turns") == before["turns"]
    assert run.pid("quiet") == before["quiet"]
    assert (run_dir / "alpha.frozen").exists()
    run.output.seek(0)
    assert run.output.read().count("alpha gives no sign of life: killed") == 1


def test_a_console_for_eyes_leaves_json_in_the_files(start, tmp_path):
    code = "import os, time\nprint('told', os.environ['LOG_FORMAT'], flush=True)\n"
    run = start(
        {"alpha": python(code + "time.sleep(60)", tmp_path, "alpha")},
        LOG_FORMAT="console",
    )
    run.until(run.ready)
    text = run.until((run.var / "log/alpha.log").read_text)
    # Processes write JSON; the runner makes it readable.
    assert json.loads(text)["event"] == "told json"
    run.until(run.said("told json"))
    run.output.seek(0)
    (line,) = [text for text in run.output.read().splitlines() if "told" in text]
    assert not line.startswith("{")
