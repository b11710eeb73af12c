"""Kept files that answer seeded requests: off unless set, and never other than made anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import MODEL, FakeEngine, RunningServer, running

from daguerre.config import Settings
from daguerre.params import ImageParams
from daguerre.server.idempotency import environment
from daguerre.server.idempotency.environment import EnvironmentFingerprint
from daguerre.storage import result_cache

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


def test_off_unless_set(server: RunningServer) -> None:
    """By default every request is made, and nothing is said of a cache."""
    answers = [server.generate(seed=5, prompt="off") for _ in range(2)]
    assert len(server.engine.params) == 2
    assert not any(CACHE in answer.headers for answer in answers)
    assert not (server.settings.data_dir() / result_cache.FOLDER_NAME).exists()


def test_off_without_room(tmp_path: Path) -> None:
    """With no bytes to keep files in, the setting alone keeps nothing."""
    with running(tmp_path, cache_seeded_requests=True, results_max_bytes=0) as server:
        assert CACHE not in server.generate(seed=5).headers


@pytest.mark.parametrize("fields", [{}, {"output_format": "jpeg", "output_compression": 50}])
def test_hit(caching: RunningServer, fields: dict[str, object]) -> None:
    """The second answer is the first, byte for byte, and the engine is not asked."""
    first = caching.generate(seed=5, prompt="hit", **fields)
    again = caching.generate(seed=5, prompt="hit", **fields)
    assert [answer.headers[CACHE] for answer in (first, again)] == ["miss", "hit"]
    assert again.content == first.content and again.headers["x-seed"] == "5"
    assert len(caching.engine.params) == 1


def test_hit_is_what_would_be_made(caching: RunningServer, server: RunningServer) -> None:
    """A server without a cache gives the same file."""
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
def test_another_request_is_made(caching: RunningServer, other: dict[str, object]) -> None:
    """Whatever changes the file is another entry."""
    asked: dict[str, object] = {"seed": 7, "prompt": "one"}
    caching.generate(**asked)
    assert caching.generate(**asked | other).headers[CACHE] == "miss"


def test_random_seeds_are_not_kept(caching: RunningServer) -> None:
    """A request that names no seed wants a new image, and nobody can ask for it again."""
    answers = [caching.generate(prompt="random", seed=seed) for seed in (0, 0)]
    assert not any(CACHE in answer.headers for answer in answers)
    assert answers[0].content != answers[1].content


def test_key_and_seed(caching: RunningServer) -> None:
    """A new Idempotency-Key with a seed that was asked for is answered from the cache, too."""
    first = caching.generate(seed=9)
    body = {"model": MODEL, "prompt": "a red fox", "seed": 9}
    keyed = caching.post(body, idempotency_key="cache-1")
    assert (keyed.headers[CACHE], "idempotent-replayed" in keyed.headers) == ("hit", False)
    assert keyed.json()["data"] == first.json()["data"]


def test_other_weights(caching: RunningServer) -> None:
    """With other weights under the same id nothing that the old ones drew is given out."""
    caching.generate(seed=10)
    before = caching.engine.model_infos
    try:
        caching.engine.model_infos = (replace(before[0], weights_sha256="1" * 64),)
        assert caching.generate(seed=10).headers[CACHE] == "miss"
    finally:
        caching.engine.model_infos = before
    assert caching.generate(seed=10).headers[CACHE] == "hit"


def test_damaged_entry(caching: RunningServer) -> None:
    """A file that was damaged on the disk is made again."""
    first = caching.generate(seed=11)
    for path in (caching.settings.data_dir() / result_cache.FOLDER_NAME).iterdir():
        path.write_bytes(path.read_bytes()[:-5])
    again = caching.generate(seed=11)
    assert again.headers[CACHE] == "miss" and again.json()["data"] == first.json()["data"]
    assert caching.generate(seed=11).headers[CACHE] == "hit"


def test_metrics(caching: RunningServer) -> None:
    """Hits and misses are counted; a hit spends no time in the stages of an image."""

    def counted(name: str) -> float:
        lines = caching.client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    names = (
        'daguerre_results_total{outcome="hit"}',
        'daguerre_results_total{outcome="miss"}',
        'daguerre_stage_seconds_count{stage="denoise"}',
    )
    before = [counted(name) for name in names]
    for _ in range(3):
        caching.generate(seed=12)
    assert [counted(name) - was for name, was in zip(names, before, strict=True)] == [2, 1, 1]


def test_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing that may decide the bytes changes the digest; where a server listens does not."""
    params, info = ImageParams(MODEL, "x"), FakeEngine().model_infos[0]

    def digest(**settings: object) -> str:
        own = replace(Settings(home=tmp_path), **settings)  # type: ignore[arg-type]
        return EnvironmentFingerprint(own).digest(params, info)

    plain = digest()
    assert digest(port=1, max_queued_jobs=1) == plain
    found = {
        plain,
        digest(threads_per_worker=3),
        digest(embedded_precision="float32"),
        digest(embedded_steps=3),
        digest(embed_prompt=True),
        EnvironmentFingerprint(Settings(home=tmp_path)).digest(replace(params, seed=2), info),
    }
    (tmp_path / "daguerre.toml").write_text("[models.x]\n")
    found.add(digest())
    monkeypatch.setattr(environment, "_version", lambda name: "0")
    found.add(digest())
    assert len(found) == 8
