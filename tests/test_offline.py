"""Nothing leaves the machine: commands run where the kernel tells of every connection."""

from __future__ import annotations

import getpass
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from PIL import Image

from evenface.data.store import ImageStore
from sealed import AVAILABLE, COMMAND, CONNECTED
from toy_onnx import write_recogniser
from untrained_run import write_faces, write_run

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="needs seccomp filters (Linux)")

TELEMETRY_SECONDS = 12.0
"""onnxruntime 1.32 connects 6 to 12 seconds after its first model was opened."""
CALLS = """
import sys
from evenface.cli.main import main
for line in sys.argv[1:]:
    print("begins:", line, flush=True)
    try:
        main(line.split())
    except SystemExit as error:
        assert error.code in (None, 0, 130), f"{line}: exit code {error.code}"
"""
CONNECTIONS = [
    "import socket; socket.create_connection(('127.0.0.1', 9))",
    "import socket; socket.socket(socket.AF_INET6).connect(('::1', 9))",
    "import socket; socket.getaddrinfo('example.org', 80)",
    "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 9))",
    "import ctypes, struct\n"
    "libc = ctypes.CDLL(None)\n"
    "libc.connect(libc.socket(2, 1, 0), struct.pack('=HHIQ', 2, 9, 1, 0), 16)",
    "import subprocess, sys\n"
    "code = 'import socket; socket.create_connection((\"127.0.0.1\", 9))'\n"
    "subprocess.run([sys.executable, '-c', code])",
    "import threading, socket, time\n"
    "threading.Thread(target=socket.create_connection, args=(('127.0.0.1', 9),)).start()\n"
    "time.sleep(9)",
]


@pytest.mark.parametrize("code", CONNECTIONS)
def test_the_seal_ends_what_connects(code):
    done = subprocess.run([*COMMAND, sys.executable, "-c", code], check=False)
    assert done.returncode == CONNECTED


def test_the_seal_allows_what_stays_on_the_machine():
    code = (
        "import multiprocessing, socket\n"
        "socket.create_server(('127.0.0.1', 0))\n"
        "first, second = socket.socketpair(); first.send(b'x')\n"
        "first, second = multiprocessing.Pipe(); first.send('x')\n"
        "try: socket.socket(socket.AF_UNIX).connect('/no/such/socket/of/this/machine/at/all')\n"
        "except FileNotFoundError: print('refused by the system alone')\n"
    )
    done = subprocess.run([*COMMAND, sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "refused by the system alone"), done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_command_connects_anywhere(tmp_path):
    pytest.importorskip("openvino")
    home = tmp_path / "home"
    home.mkdir()
    write_recogniser(tmp_path / "toy.onnx")
    faces = write_faces(tmp_path / "faces", people=12, each=2)
    write_run(tmp_path / "student")
    lines = [
        "data export faces folder --format folder",
        "data import folder imported",
        "teacher embed toy.onnx imported --out cache --engine openvino",
        "train student-mini --set data=faces --set schedule.steps=2 --set batch_size=4 --out run",
        "teacher info run",
        f"evaluate toy.onnx {faces} --replicates 10 --out page",
        "export student --out exported --audit faces",
        "verify first.png second.png --model toy.onnx --threshold 0.5",
        "demo-app --model toy.onnx --threshold 0.5 --port 0",
    ]
    for name, index in (("first.png", 0), ("second.png", 5)):
        Image.fromarray(ImageStore.open(faces)[index]).save(tmp_path / name)
    log = tmp_path / "log"
    set_by_us = {"ORT_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED", "DO_NOT_TRACK"}
    environment = {name: v for name, v in os.environ.items() if name not in set_by_us}
    environment |= dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TMPDIR"), str(home))
    with open(log, "w") as sink:
        process = subprocess.Popen(
            [*COMMAND, sys.executable, "-c", CALLS, *lines],
            cwd=tmp_path,
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        while "open http" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        address = log.read_text().split("open ")[1].split()[0]
        with urllib.request.urlopen(address + "/model") as response:
            assert response.status == 200
        time.sleep(TELEMETRY_SECONDS)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
    assert process.returncode == 0, log.read_text()
    names = {path.name for path in home.iterdir()}
    assert not names - {"evenface", "matplotlib", f"torchinductor_{getpass.getuser()}"}, names


def test_what_libraries_would_send_is_switched_off_unless_the_user_decides_otherwise():
    code = (
        "import evenface, os\n"
        "print(*(os.environ[n] for n in"
        " ('ORT_DISABLE_TELEMETRY', 'RAY_USAGE_STATS_ENABLED', 'DO_NOT_TRACK')))"
    )
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    for chosen, expected in ({}, "1 0 1"), ({"DO_NOT_TRACK": "0"}, "1 0 0"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=clean | chosen,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected
