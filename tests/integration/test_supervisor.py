"""The runner of `make run` with small processes in place of the real ones."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.clock import monotonic, sleep

ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
import sys
from pathlib import Path
from config.dev.__main__ import Plan, run
from config.dev.procfile import read_procfile
from config.settings import load_settings
plan = Plan(read_procfile(Path(sys.argv[1])), {}, private_redis=True)
sys.exit(run(load_settings(env_file=None), plan))
"""
POLITE = """
import signal, sys, time
def finish(*_):
    time.sleep({finish_s})
    open({mark!r}, "w").write("finished")
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
print("plain words", flush=True)
while True: time.sleep(0.05)
"""


class Run:
    """A started runner and the questions the tests ask about it."""

    def __init__(self, folder: Path, processes: dict[str, str], **environ: str) -> None:
        self.var = folder / "var"
        procfile = folder / "Procfile"
        procfile.write_text("".join(f"{n}: {c}\n" for n, c in processes.items()))
        self.output = (folder / "output").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(procfile)],
            cwd=ROOT,
            env=os.environ | {"VAR_DIR": str(self.var), "KUAIDA_ENV": "test"} | environ,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def until(self, what, seconds=10.0):
        """Wait for a question to be answered truly; fail with the output."""
        end = monotonic() + seconds
        while monotonic() < end:
            if answer := what():
                return answer
            sleep(0.02)
        self.output.seek(0)
        pytest.fail(f"not in {seconds} s; output:\n{self.output.read()}")

    def ready(self) -> bool:
        mark = self.var / "run" / "ready"
        return mark.exists() and mark.read_text() == "ready\n"

    def pid(self, name: str) -> int:
        try:
            return int((self.var / "run" / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return 0

    def stop(self, number: int = signal.SIGTERM) -> float:
        began = monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return monotonic() - began


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def python(code: str, folder: Path, name: str) -> str:
    path = folder / f"{name}.py"
    path.write_text(code)
    return f"exec {sys.executable} {path}"


@pytest.fixture
def start(tmp_path):
    runs = []

    def begin(processes, **environ):
        run = Run(tmp_path, processes, **environ)
        runs.append(run)
        return run

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.stop()
        run.output.close()


def polite(folder: Path, name: str, *, finish_s: float) -> str:
    mark = str(folder / f"{name}.done")
    return python(POLITE.format(finish_s=finish_s, mark=mark), folder, name)


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

    assert took < 15
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
    assert 1.0 <= run.stop() < 8
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
    run.process.wait(20)
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
    run.until(lambda: run.pid("alpha") not in {0, before["alpha"]}, seconds=30)

    run.until(lambda: not alive(before["alpha"]) and not alive(owned))
    assert run.pid("turns") == before["turns"]
    assert run.pid("quiet") == before["quiet"]
    assert (run_dir / "alpha.frozen").exists()
    run.output.seek(0)
    assert run.output.read().count("alpha gives no sign of life: killed") == 1
