"""The connection to a cluster without Ray: its errors, and the choice of the revision."""

from __future__ import annotations

import socket

import pytest

from daguerre.engine.ray import cluster
from daguerre.engine.ray.cluster import ApplicationStatus, connection_advice, newest
from daguerre.errors import SettingsError


def status(name: str, state: str = "RUNNING", deployed_s: float = 0.0) -> ApplicationStatus:
    return ApplicationStatus(name, state, "", deployed_s)


def test_newest_revision() -> None:
    """The last one that runs; if none runs, the last one."""
    old, new = status("app-1", deployed_s=1.0), status("app-2", deployed_s=2.0)
    deploying = status("app-3", "DEPLOYING", 3.0)
    assert newest([old, new, deploying]) == new
    assert newest([deploying]) == deploying and newest([]) is None


def test_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this application, not of others in the cluster."""
    own, others = status("app-1"), [status("application-1"), status("other-4")]
    monkeypatch.setattr(cluster, "_statuses", lambda: [own, *others])
    assert cluster.revisions("app") == [own]


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            RuntimeError(
                "Failed to connect to GCS. Last connection error: Traceback (most recent call"
                " last):\n  File x\nRpcError: InvalidAuthToken: Authentication token is missing"
            ),
            "the token is missing or wrong; set RAY_AUTH_TOKEN",
        ),
        (ConnectionRefusedError(111, "refused"), "ray start --address 10.0.0.1:6379 --num-cpus 0"),
        (TimeoutError("timed out"), "start a node of the cluster on this machine"),
        (socket.gaierror(-2, "Name or service not known"), "give the address of the head node"),
    ],
)
def test_advice(error: Exception, advice: str) -> None:
    """One line that says what to do, without Ray's stack."""
    text = connection_advice("10.0.0.1:6379", error)
    assert advice in text and "\n" not in text and "Traceback" not in text


def test_advice_for_this_machine() -> None:
    assert "ray start --num-cpus 0" in connection_advice("auto", ConnectionError("no node"))


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'daguerre\[ray\]'"):
        cluster.connect("auto")
    with pytest.raises(SettingsError, match=r"pip install 'daguerre\[ray\]'"):
        cluster.start_local()


def test_cluster_that_is_not_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes at once. Ray alone would try for minutes."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("os.environ", {})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SettingsError, match=f"cluster at 127.0.0.1:{port}: .*refused"):
        cluster.connect(f"127.0.0.1:{port}")
