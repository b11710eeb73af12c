"""Runs a program and reports what it does besides its task: connections, forks, files at home."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from conftest import PATIENCE_S

_WATCH = """
import sys
def watch(event, arguments):
    if event in {"os.fork", "socket.connect"}:
        print(event, arguments, file=sys.stderr)
sys.addaudithook(watch)
"""
# Variables of build servers, which switch telemetry off.
_CI = {"CI", "TF_BUILD", "JENKINS_URL"}


def side_effects(program: str, folder: Path) -> list[str]:
    """What the Python program does that it should not; its data directory is `folder/data`.

    A proxy that accepts connections and answers nothing stands for the network.
    """
    home = folder / "home"
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        environ = {name: value for name, value in os.environ.items() if name not in _CI}
        environ |= {"HOME": str(home), "DAGUERRE_HOME": str(folder / "data")}
        for name in ("http_proxy", "https_proxy"):
            environ |= {name: url, name.upper(): url}
        done = subprocess.run(
            [sys.executable, "-c", _WATCH + program],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        proxy.settimeout(0)
        try:
            proxy.accept()[0].close()
            connections = ["a connection to the proxy"]
        except BlockingIOError:
            connections = []
    assert done.returncode == 0, done.stderr
    return [*connections, *done.stderr.splitlines(), *map(str, home.rglob("*"))]
