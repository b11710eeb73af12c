"""What OpenVINO does to a process, and how that is kept from doing harm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from no_network import side_effects

PROGRAM = """
import faulthandler, gc, signal, threading
from daguerre.models.embedded.model import EmbeddedModel
faulthandler.enable()
signal.signal(signal.SIGTERM, lambda *_: print("heard"))
held = [EmbeddedModel("m").load()]
def drop():
    held.clear()
    gc.collect()
thread = threading.Thread(target=drop)
thread.start()
thread.join()
signal.raise_signal(signal.SIGTERM)
"""


def test_signals_after_networks_have_gone() -> None:
    """A thread that loads networks can take signals when they have ended in another one."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


def test_nothing_is_reported(tmp_path: Path) -> None:
    """An image opens no connection, forks no process and writes nothing to the home directory."""
    program = "import daguerre; daguerre.Model.load().generate('a red apple', seed=5)"
    assert side_effects(program, tmp_path) == []
