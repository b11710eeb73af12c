"""deploy/kubernetes/ray: rendered by kubectl, valid by the schemas, and consistent.

`raycluster.schema.json.xz` is the schema of a RayCluster (ray.io/v1) in KubeRay 1.7.0, Apache
License 2.0, without descriptions and status.
"""

from __future__ import annotations

import json
import lzma
import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
import yaml

from daguerre.config import Settings
from daguerre.models import catalog
from deployment.files import DEPLOY, KUBERNETES_VERSION, ROOT, longest_shutdown_s, read_yaml

FOLDER = DEPLOY / "kubernetes" / "ray"
GUIDE = ROOT / "docs" / "guides" / "ray.md"
SCHEMA = Path(__file__).parent / "raycluster.schema.json.xz"


@cache
def objects() -> dict[str, Any]:
    """Kind -> object, as written in the files."""
    found = {}
    for path in FOLDER.glob("*.yaml"):
        for each in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if each["kind"] != "Kustomization":
                found[each["kind"]] = each
    return found


def strict(schema: Any) -> Any:
    """A JSON schema that allows no unknown key, like a server with strict field validation."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.get("x-kubernetes-int-or-string") is True:
        made["type"] = ["integer", "string"]
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def validator() -> Any:
    schema = strict(json.loads(lzma.decompress(SCHEMA.read_bytes())))
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema_rs.validator_for(schema)


def test_cluster_is_valid() -> None:
    errors = [str(each) for each in validator().iter_errors(objects()["RayCluster"])]
    assert errors == []


def test_schema_finds_typos() -> None:
    cluster = json.loads(json.dumps(objects()["RayCluster"]))
    cluster["spec"]["workerGroupSpecs"][0]["maxReplica"] = 3
    assert not validator().is_valid(cluster)


def test_objects_are_valid() -> None:
    """Each object but the RayCluster is valid by Kubernetes' own schema."""
    for kind, each in objects().items():
        if kind != "RayCluster":
            kubernetes_validate.validate(each, KUBERNETES_VERSION, strict=True)


def test_versions() -> None:
    """The cluster has the version of Ray that the extra installs, the image that of daguerre."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(re.findall(r"^(\S+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.M))
    assert objects()["RayCluster"]["spec"]["rayVersion"] == pins["ray"]
    images = kustomization()["images"]
    assert images == [{"name": "daguerre-ray", "newTag": project["version"]}]


def test_token_is_required() -> None:
    """Every process that uses Ray has the token of one Secret."""
    cluster = objects()["RayCluster"]["spec"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "daguerre-ray"}
    for kind in ("Deployment", "Job"):
        pod = objects()[kind]["spec"]["template"]["spec"]
        secrets = [volume.get("secret", {}).get("secretName") for volume in pod["volumes"]]
        assert cluster["authOptions"]["secretName"] in secrets
        environment = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}
        mounts = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
        assert environment["RAY_AUTH_TOKEN_PATH"] == f"{mounts['ray-token']}/auth_token"
    assert literals()["RAY_AUTH_MODE"] == "token"


def test_no_usage_reports() -> None:
    """No node reports the use of Ray to its developers, which is Ray's default."""
    cluster = objects()["RayCluster"]["spec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
    assert literals()["RAY_USAGE_STATS_ENABLED"] == "0"
    (export,) = re.findall(r"export (RAY_USAGE_STATS_ENABLED=\S+)", GUIDE.read_text("utf-8"))
    assert export == "RAY_USAGE_STATS_ENABLED=0"


def test_labels() -> None:
    """The policy covers all pods, and the Service only those of the servers."""
    policy = objects()["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items()
    cluster = objects()["RayCluster"]["spec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    templates = [group["template"] for group in groups]
    server = objects()["Deployment"]["spec"]["template"]
    for template in (*templates, server, objects()["Job"]["spec"]["template"]):
        assert policy <= template["metadata"]["labels"].items()
    selector = objects()["Service"]["spec"]["selector"]
    assert selector == server["metadata"]["labels"]
    assert all(selector != template["metadata"]["labels"] for template in templates)


def test_settings_are_valid() -> None:
    """The variables are settings, and the catalog is one."""
    server = objects()["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    settings = Settings.load({}, literals())
    assert settings.ray_address == "daguerre-head-svc:6379"
    assert server["ports"][0]["containerPort"] == settings.port
    text = (FOLDER / "daguerre.toml").read_text(encoding="utf-8")
    assert catalog.parse(FOLDER / "daguerre.toml", FOLDER, text).models


def test_pods_end_after_their_requests() -> None:
    """A pod has time for the drain, and a server is not ready before it rejects requests."""
    settings = Settings.load({}, literals())
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > longest_shutdown_s(settings)
    probe = pod["containers"][0]["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < settings.shutdown_delay_s
    for group in objects()["RayCluster"]["spec"]["workerGroupSpecs"]:
        grace_s = group["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace_s > settings.request_timeout_s


def test_replica_fits_a_worker() -> None:
    """A replica gets the CPUs of one worker, and as many replicas as workers are allowed."""
    (workers,) = objects()["RayCluster"]["spec"]["workerGroupSpecs"]
    (command,) = objects()["Job"]["spec"]["template"]["spec"]["containers"][0]["args"]
    limits = workers["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert f"--num-cpus {limits['cpu']}" in command
    assert f"--max-replicas {workers['maxReplicas']}" in command


def test_kubectl_renders_it() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kinds = {each["kind"] for each in yaml.safe_load_all(done.stdout)}
    assert kinds == {*objects(), "ConfigMap"}


def kustomization() -> Any:
    return read_yaml(FOLDER / "kustomization.yaml")


def literals() -> dict[str, str]:
    """The variables; an overlay replaces the bucket."""
    generator = kustomization()["configMapGenerator"][0]
    variables = dict(line.split("=", 1) for line in generator["literals"])
    return variables | {"DAGUERRE_IMAGE_STORE": "s3://bucket"}
