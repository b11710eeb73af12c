"""The connection of this process to a Ray cluster, and its Serve applications.

The cluster requires a token, unless RAY_AUTH_MODE says otherwise. Serve's HTTP proxy is off,
because the server is the only way in.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from daguerre.errors import SettingsError, one_line

logger = logging.getLogger(__name__)

# 127.0.0.1 would be replaced by an address that other machines reach.
_LOCAL_ADDRESS = "127.0.0.2"
_LOCAL_OBJECT_STORE_BYTES = 200_000_000
_VARIABLES = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Otherwise Ray ends the process after a minute without the head node.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    # Otherwise a call after the end of the connection starts a cluster.
    "RAY_ENABLE_AUTO_CONNECT": "0",
    # Ray gives its workers a low priority, as if they ran beside something important.
    "RAY_worker_niceness": "0",
    # Serve tries a replica again soon after none was free.
    "RAY_SERVE_ROUTER_RETRY_MAX_BACKOFF_S": "0.1",
}
# A replica that hangs must not live until the end of its graceful shutdown.
_CONTROLLER_VARIABLES = {"RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1"}
_REACH_TIMEOUT_S = 10.0
_STATUS_POLL_S = 0.5
_TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@dataclass(frozen=True, slots=True)
class ApplicationStatus:
    """State of a Serve application, such as RUNNING or DEPLOYING."""

    name: str
    state: str
    message: str
    deployed_s: float  # Unix time

    @property
    def is_running(self) -> bool:
        return self.state == "RUNNING"

    @property
    def has_failed(self) -> bool:
        return self.state == "DEPLOY_FAILED"


def check_installed() -> None:
    """Raises `SettingsError` if Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise SettingsError("ray cannot be imported; install it: pip install 'daguerre[ray]'")


def connect(address: str, node_ip_address: str = "") -> None:
    """Connects to the cluster at `address` (host:port, or auto), through this machine's node.

    Raises `SettingsError` if that is impossible.
    """
    set_variables()
    options = {"_node_ip_address": node_ip_address} if node_ip_address else {}
    _check_reachable(address)
    try:
        _init(address=address, **options)
    except _errors() as error:
        raise _cannot_connect(address, error) from error


def _check_reachable(address: str) -> None:
    """Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_TIMEOUT_S).close()
    except OSError as error:
        raise _cannot_connect(address, error) from error


def _cannot_connect(address: str, error: Exception) -> SettingsError:
    advice = connection_advice(address, error)
    return SettingsError(f"cannot connect to the Ray cluster at {address}: {advice}")


def connection_advice(address: str, error: Exception) -> str:
    """Why the connection failed, and what to do."""
    reason = _reason(error)
    if "authenticat" in reason.lower():
        return (
            "the token is missing or wrong; set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to that of"
            " the cluster, or write it to ~/.ray/auth_token"
        )
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
        return f"{reason}; give the address of the head node"
    where = "" if address == "auto" else f"--address {address} "
    return f"{reason}; start a node of the cluster on this machine: ray start {where}--num-cpus 0"


def start_local(num_cpus: int | None = None) -> None:
    """Starts a cluster of one node on this machine, which ends with this process."""
    set_variables()
    if not any(os.environ.get(name) for name in _TOKEN_VARIABLES):
        # Otherwise Ray writes one into the home directory.
        os.environ[_TOKEN_VARIABLES[0]] = secrets.token_hex(32)
    try:
        _init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=False,
            object_store_memory=_LOCAL_OBJECT_STORE_BYTES,
            _node_ip_address=_LOCAL_ADDRESS,
        )
    except _errors() as error:
        raise SettingsError(f"cannot start Ray on this machine: {_reason(error)}") from error


def disconnect() -> None:
    """Ends the connection, and the cluster if this process has started it."""
    import ray

    ray.shutdown()


def start_serve() -> None:
    """Starts Serve's controller, if the cluster has none."""
    from ray import serve
    from ray.serve.config import ControllerOptions

    options = ControllerOptions(runtime_env={"env_vars": _CONTROLLER_VARIABLES})
    serve.start(proxy_location="Disabled", controller_options=options)


def run(application: Any, name: str, timeout_s: float) -> None:
    """Creates or updates an application, and returns when it runs.

    Raises `SettingsError` if it cannot be deployed, and deletes it then; also if it does not run
    after `timeout_s`.
    """
    from ray import serve

    target = serve.RunTarget(target=application, name=name, route_prefix=None)
    try:
        serve.run_many([target], wait_for_applications_running=False)
        _wait_until_running(name, timeout_s)
    except _errors() as error:
        raise SettingsError(f"cannot deploy {name}: {_reason(error)}") from error


def _wait_until_running(name: str, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not (status := _status(name)).is_running:
        if status.has_failed:
            delete(name)
            raise SettingsError(f"{name} cannot be deployed: {status.message}")
        if time.monotonic() > deadline_s:
            raise SettingsError(
                f"{name} does not run after {timeout_s:g} s: {status.message or status.state}; add"
                f" nodes to the cluster, or run: daguerre ray delete {name}"
            )
        time.sleep(_STATUS_POLL_S)


def _status(name: str) -> ApplicationStatus:
    found = [one for one in _statuses() if one.name == name]
    return found[0] if found else ApplicationStatus(name, "NOT_STARTED", "", 0.0)


def delete(name: str) -> None:
    """Deletes an application; its replicas finish their jobs first."""
    from ray import serve

    serve.delete(name)


def is_used(name: str) -> bool:
    """Whether one of the replicas has heard of a server in the last seconds, or is too busy."""
    from ray import serve

    from daguerre.engine.ray.deployment import DEPLOYMENT

    handle = serve.get_deployment_handle(DEPLOYMENT, name)
    try:
        return bool(handle.options(method_name="server_names").remote().result(timeout_s=5))
    except _errors():
        logger.debug("no replica of %s answers", name, exc_info=True)
        return True


def cpus_of_a_node(num_gpus: float = 0) -> float:
    """CPUs for a replica that shares a node only with others that have `num_gpus` GPUs, too.

    The smallest node decides, because all replicas get the same number.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    shares = [
        node["CPU"] // max(1, node["GPU"] // num_gpus if num_gpus else 1)
        for node in nodes
        if node.get("CPU") and node.get("GPU", 0) >= num_gpus
    ]
    if not shares:
        what = f"{num_gpus:g} GPUs" if num_gpus else "a CPU"
        raise SettingsError(f"no node of the Ray cluster has {what}; add one with 'ray start'")
    return float(max(1, min(shares)))


def revisions(application: str) -> list[ApplicationStatus]:
    """The revisions of an application. Raises `SettingsError` if the cluster does not answer."""
    try:
        return [one for one in _statuses() if one.name.startswith(f"{application}-")]
    except _errors() as error:
        raise SettingsError(f"the Ray cluster does not answer: {_reason(error)}") from error


def _statuses() -> list[ApplicationStatus]:
    """All Serve applications of the cluster."""
    from ray import serve

    return [
        ApplicationStatus(name, one.status.value, _message(one), one.last_deployed_time_s)
        for name, one in serve.status().applications.items()
    ]


def _message(overview: Any) -> str:
    """What Serve says about an application and its deployments, in one line."""
    messages = [overview.message, *(each.message for each in overview.deployments.values())]
    return " ".join(" ".join(messages).split())


def newest(found: Collection[ApplicationStatus]) -> ApplicationStatus | None:
    """The last deployed of the revisions that run, else of all."""
    running = [one for one in found if one.is_running]
    return max(running or found, key=lambda one: one.deployed_s, default=None)


def set_variables() -> None:
    """Sets the variables of Ray that are not set. Raises `SettingsError` without Ray."""
    check_installed()
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)


def _init(**options: Any) -> None:
    import ray
    import ray.serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    ray.init(
        **options,
        namespace="daguerre",
        log_to_driver=False,
        logging_level=logging.WARNING,
        configure_logging=False,
    )


def _errors() -> tuple[type[Exception], ...]:
    """What Ray and Serve raise if the cluster or the application is not as it must be."""
    from ray.exceptions import RayError
    from ray.serve.exceptions import RayServeException

    return RayError, RayServeException, OSError, RuntimeError, ValueError


def _reason(error: Exception) -> str:
    """The innermost cause, without Ray's stack, which some messages contain."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    if "Traceback (most recent call last)" in str(error):
        return " ".join(lines[-1].split())
    return one_line(error)
