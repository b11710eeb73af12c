"""Cached seeded requests: off by default, and always the bytes that generating gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import MODEL, FakeEngine, RunningServer, running

from daguerre import runtime_variables
from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.models.diffusers import gguf_file, quantization
from daguerre.models.diffusers.adapters import lora
from daguerre.params import ImageParams
from daguerre.server import app
from daguerre.server.idempotency import environment_fingerprint
from daguerre.server.idempotency.environment_fingerprint import EnvironmentFingerprint
from daguerre.server.routes import metrics
from daguerre.storage import artifact_cache
from daguerre.storage.image_store import DIR_NAME

CACHE = "x-cache"


@pytest.fixture(scope="module")
def _caching_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(tmp_path_factory.mktemp("cache"), cache_seeded_requests=True) as server:
        yield server


@pytest.fixture
def caching(_caching_server: RunningServer) -> Iterator[RunningServer]:
    _caching_server.engine.reset()
    yield _caching_server
    _caching_server.engine.reset()


def test_off_by_default(tmp_path: Path) -> None:
    """By default every image is generated, without a cache header or a stored image."""
    with running(tmp_path) as server:
        answers = [server.generate(seed=5, prompt="off") for _ in range(2)]
        assert len(server.engine.params) == 2
    assert not any(CACHE in answer.headers for answer in answers)
    assert not list((tmp_path / DIR_NAME).iterdir())


def test_off_without_a_store(tmp_path: Path) -> None:
    """Without an image store, the setting has no effect."""
    with running(tmp_path, cache_seeded_requests=True, image_store_max_bytes=0) as server:
        assert CACHE not in server.generate(seed=5).headers


@pytest.mark.parametrize("fields", [{}, {"output_format": "jpeg", "output_compression": 50}])
def test_hit(caching: RunningServer, fields: dict[str, object]) -> None:
    """The second response has the bytes of the first, without a second job."""
    first = caching.generate(seed=5, prompt="hit", **fields)
    again = caching.generate(seed=5, prompt="hit", **fields)
    assert [answer.headers[CACHE] for answer in (first, again)] == ["miss", "hit"]
    assert again.content == first.content and again.headers["x-seed"] == "5"
    assert len(caching.engine.params) == 1


def test_hit_equals_generating(caching: RunningServer, server: RunningServer) -> None:
    """A server without a cache returns the same file."""
    for _ in range(2):
        cached = caching.generate(seed=6, prompt="made", size="1344x768")
    assert cached.headers[CACHE] == "hit"
    made = server.generate(seed=6, prompt="made", size="1344x768")
    assert cached.json()["data"] == made.json()["data"]


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 8},
        {"prompt": "another"},
        {"negative_prompt": "x"},
        {"size": "1344x768"},
        {"output_format": "jpeg"},
    ],
)
def test_other_request_misses(caching: RunningServer, other: dict[str, object]) -> None:
    """Every field that changes the file changes the entry."""
    asked: dict[str, object] = {"seed": 7, "prompt": "one"}
    caching.generate(**asked)
    assert caching.generate(**asked | other).headers[CACHE] == "miss"


def test_random_seeds_are_not_cached(caching: RunningServer) -> None:
    """A request without a seed gets a new image, which no request can name."""
    answers = [caching.generate(prompt="random", seed=seed) for seed in (0, 0)]
    assert not any(CACHE in answer.headers for answer in answers)
    assert answers[0].content != answers[1].content


def test_key_and_seed(caching: RunningServer) -> None:
    """A new Idempotency-Key with a cached seed is answered from the cache."""
    first = caching.generate(seed=9)
    body = {"model": MODEL, "prompt": "a red fox", "seed": 9}
    keyed = caching.post(body, idempotency_key="cache-1")
    assert (keyed.headers[CACHE], "idempotent-replayed" in keyed.headers) == ("hit", False)
    assert keyed.json()["data"] == first.json()["data"]


def test_key_of_a_cached_image(caching: RunningServer) -> None:
    """A key whose first request was answered from the cache is a used key."""
    caching.generate(seed=14)
    body = {"model": MODEL, "prompt": "a red fox", "seed": 14}
    first, again = (caching.post(body, idempotency_key="cache-2") for _ in range(2))
    assert (first.headers[CACHE], again.headers["idempotent-replayed"]) == ("hit", "true")
    assert again.content == first.content
    changed = {**body, "prompt": "a blue fox"}
    assert caching.post(changed, idempotency_key="cache-2").status_code == 409


def test_other_weights(caching: RunningServer) -> None:
    """New weights under the same model ID miss the images of the old ones."""
    caching.generate(seed=10)
    before = caching.engine.model_infos
    try:
        caching.engine.model_infos = (replace(before[0], weights_sha256="1" * 64),)
        assert caching.generate(seed=10).headers[CACHE] == "miss"
    finally:
        caching.engine.model_infos = before
    assert caching.generate(seed=10).headers[CACHE] == "hit"


def test_damaged_entry(caching: RunningServer) -> None:
    """A damaged object is generated and stored again."""
    first = caching.generate(seed=11)
    for path in (caching.settings.data_dir() / DIR_NAME).iterdir():
        path.write_bytes(path.read_bytes()[:-5])
    again = caching.generate(seed=11)
    assert again.headers[CACHE] == "miss" and again.json()["data"] == first.json()["data"]
    assert caching.generate(seed=11).headers[CACHE] == "hit"


def test_metrics(caching: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hits and misses are counted; a hit adds nothing to the stage durations."""
    monkeypatch.setattr(metrics, "MAX_AGE_S", 0.0)

    def counted(name: str) -> float:
        lines = caching.client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    names = (
        'daguerre_image_store_requests_total{result="hit"}',
        'daguerre_image_store_requests_total{result="miss"}',
        'daguerre_stage_duration_seconds_count{model="stable-image-ultra",stage="denoise"}',
    )
    before = [counted(name) for name in names]
    for _ in range(3):
        caching.generate(seed=12)
    assert [counted(name) - was for name, was in zip(names, before, strict=True)] == [2, 1, 1]


def test_resources_do_not_share(caching: RunningServer) -> None:
    """An image is found only by the resource that made it."""
    body = {"model": MODEL, "prompt": "mine", "seed": 13}
    other = caching.limited(60)
    for _ in range(2):
        mine = caching.post(body)
    theirs = caching.post(body, key=other)
    assert (mine.headers[CACHE], theirs.headers[CACHE]) == ("hit", "miss")
    assert theirs.json()["data"] == mine.json()["data"]


def test_store_failure_is_not_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the store fails, images are generated and the log says so once in a while."""
    with running(tmp_path, cache_seeded_requests=True) as server:
        (tmp_path / DIR_NAME).rmdir()
        (tmp_path / DIR_NAME).write_text("a file")
        answers = [server.generate(seed=5) for _ in range(3)]
        assert len(server.engine.params) == 3
    assert {(answer.status_code, answer.headers[CACHE]) for answer in answers} == {(200, "miss")}
    assert caplog.text.count("the image store is unavailable") == 1


def test_unusable_store_is_an_error(tmp_path: Path) -> None:
    """A server with a store that it cannot use does not start."""
    (tmp_path / "file").write_text("")
    with pytest.raises(
        SettingsError, match="cannot use the image store .*file: it is not a directory"
    ):
        with running(tmp_path, image_store=str(tmp_path / "file")):
            pass


def test_environment_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that may determine the bytes changes the digest; previews do not."""
    params, info = ImageParams(MODEL, "x"), FakeEngine().model_infos[0]

    def digest(resource: str = "r", params: ImageParams = params, **settings: object) -> str:
        return EnvironmentFingerprint(**settings).digest(resource, params, info)

    plain = digest()
    assert digest(params=replace(params, num_previews=3)) == plain
    found = {
        plain,
        digest(threads=3),
        digest(threads=4),
        digest("another"),
        digest(params=replace(params, seed=2)),
        EnvironmentFingerprint().digest("r", params, replace(info, weights_sha256="1")),
        EnvironmentFingerprint().digest("r", params, replace(info, options="steps=2")),
    }
    monkeypatch.setattr(environment_fingerprint, "_version", lambda name: "0")
    found.add(digest())
    monkeypatch.setitem(runtime_variables._AT_START, "ONEDNN_MAX_CPU_ISA", "AVX2")
    found.add(digest())
    assert len(found) == 9


def test_versions_in_the_environment_fingerprint() -> None:
    """The versions of all libraries that change, quantize or run weights count."""
    libraries = {*quantization.PACKAGES, quantization.CALIBRATION_LIBRARY}
    libraries |= {lora.LIBRARY, gguf_file.LIBRARY, *artifact_cache._LIBRARIES}
    assert libraries <= {*environment_fingerprint.DISTRIBUTIONS}


def test_decisive_settings() -> None:
    """Settings that determine the bytes are part of the fingerprint, others are not."""
    params, info = ImageParams(MODEL, "x"), FakeEngine().model_infos[0]

    def digest(certificate: Any = None, **settings: Any) -> str:
        environment = app._environment(Settings(home=Path("/none"), **settings), certificate)
        return environment.digest("r", params, info)

    assert digest(port=1, max_queued_jobs=1) == digest()
    changed: list[dict[str, object]] = [
        {"threads_per_worker": 3},
        {"embedded_precision": "float32"},
        {"embedded_steps": 3},
        {"embed_prompt": True},
        {"certificate": SimpleNamespace(digest="0")},
    ]
    assert len({digest(), *(digest(**settings) for settings in changed)}) == 6
