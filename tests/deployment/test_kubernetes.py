"""deploy/kubernetes with the guide's overlay: valid by Kubernetes' schemas, and consistent."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from daguerre import __version__
from daguerre.config import Settings
from daguerre.errors import SettingsError
from deployment.files import (
    DEPLOY,
    KUBERNETES_VERSION,
    SECRET_FILES,
    code_blocks,
    load,
    longest_shutdown_s,
    read_yaml,
)

KUBERNETES = DEPLOY / "kubernetes"
POD = read_yaml(KUBERNETES / "deployment.yaml")["spec"]["template"]["spec"]
CONTAINER = POD["containers"][0]
BASE = read_yaml(KUBERNETES / "kustomization.yaml")
(OVERLAY,) = map(yaml.safe_load, code_blocks("deployment.md", "yaml"))
KINDS = {"ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"}


def literals(kustomization: Any) -> dict[str, str]:
    (generator,) = kustomization["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in generator["literals"])


def variables() -> dict[str, str]:
    """Of a container with the guide's overlay."""
    own = {entry["name"]: entry["value"] for entry in CONTAINER["env"]}
    return literals(BASE) | literals(OVERLAY) | own


def why_no_kubectl() -> str | None:
    """Why kubectl cannot render the base, or None."""
    if shutil.which("kubectl") is None:
        return "kubectl is not installed"
    done = subprocess.run(
        ["kubectl", "version", "--client", "--output=json"], capture_output=True, text=True
    )
    found = re.match(r"v(\d+)\.", json.loads(done.stdout or "{}").get("kustomizeVersion", ""))
    # Older ones have no field `labels`.
    return None if found and int(found.group(1)) >= 5 else "kubectl is older than 1.27"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Kind -> the object that kubectl makes of the guide's overlay."""
    if reason := why_no_kubectl():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("overlay")
    overlay = {**OVERLAY, "resources": [os.path.relpath(KUBERNETES, folder)]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    done = subprocess.run(["kubectl", "kustomize", folder], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    return {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}


def test_schemas(objects: dict[str, Any]) -> None:
    """The overlay renders to these objects, and each is valid by Kubernetes' own schema."""
    assert {*objects} == KINDS
    for each in objects.values():
        kubernetes_validate.validate(each, KUBERNETES_VERSION, strict=True)


def test_schemas_find_typos(objects: dict[str, Any]) -> None:
    wrong = {**objects["Service"], "specc": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSION, strict=True)


def test_names_match(objects: dict[str, Any]) -> None:
    """The selectors find the pods, and the pods their settings."""
    deployment = objects["Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == deployment["spec"]["selector"]["matchLabels"]
    assert labels == objects["Service"]["spec"]["selector"]
    assert labels == objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    assert labels == POD["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    settings = container["envFrom"][0]["configMapRef"]["name"]
    assert settings == objects["ConfigMap"]["metadata"]["name"]
    assert container["image"] == f"registry.example.com/daguerre:{__version__}"
    assert objects["ConfigMap"]["data"] == literals(BASE) | literals(OVERLAY)
    assert {each["metadata"]["namespace"] for each in objects.values()} == {"daguerre"}
    target = objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]  # it would reset what the autoscaler sets


def test_bucket_must_be_named() -> None:
    """Without an overlay, the server refuses to start, and names the variable."""
    with pytest.raises(SettingsError, match="DAGUERRE_IMAGE_STORE is 's3://BUCKET'"):
        Settings.load(environ=literals(BASE))


def test_port() -> None:
    """The container's port is the one that the server listens on, also for Prometheus."""
    service = read_yaml(KUBERNETES / "service.yaml")["spec"]["ports"][0]
    port = CONTAINER["ports"][0]
    assert service["targetPort"] == port["name"]
    assert port["containerPort"] == Settings().port
    metadata = read_yaml(KUBERNETES / "deployment.yaml")["spec"]["template"]["metadata"]
    assert metadata["annotations"]["prometheus.io/port"] == str(Settings().port)


def test_shutdown(tmp_path: Path) -> None:
    """The readiness probe fails before the server rejects requests, and none is cut off."""
    settings, probe = load(variables(), tmp_path), CONTAINER["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < settings.shutdown_delay_s
    assert POD["terminationGracePeriodSeconds"] > longest_shutdown_s(settings)


def test_update() -> None:
    """All new pods start before an old one ends, because they may wait to be promoted."""
    strategy = read_yaml(KUBERNETES / "deployment.yaml")["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": "100%", "maxUnavailable": 0}


def test_secrets_are_mounted() -> None:
    """The variables for secrets name files of the mounted Secret, which the server's user reads."""
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    files = {variables()[name] for name in SECRET_FILES}
    assert files == {f"{mounts['secrets']}/{key}" for key in ("database_url", "signed_url_secret")}
    secret = next(volume["secret"] for volume in POD["volumes"] if volume["name"] == "secrets")
    assert secret["defaultMode"] == 0o440 and POD["securityContext"]["fsGroup"]


def test_least_privilege() -> None:
    """The pod meets the restricted Pod Security Standard, and its root file system is read-only."""
    context = CONTAINER["securityContext"]
    assert POD["securityContext"]["runAsNonRoot"] and context["readOnlyRootFilesystem"]
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert (POD["enableServiceLinks"], POD["automountServiceAccountToken"]) == (False, False)
