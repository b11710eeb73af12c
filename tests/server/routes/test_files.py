"""Signed URLs of images: the file, its parts, expiry and signatures."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import openai
import pytest
from conftest import MODEL, PATH, RunningServer, error_of, mode, read_answer, running
from PIL import Image
from s3 import BUCKET, s3

from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.server.routes.signed_urls import SECRET_FILE, UrlSigner
from daguerre.storage.image_store import DIR_NAME


def signed_url(server: RunningServer, **fields: object) -> str:
    answer = server.generate(response_format="url", **fields)
    assert answer.status_code == 200, answer.text
    [entry] = answer.json()["data"]
    assert list(entry) == ["url", "revised_prompt"] and entry["revised_prompt"] == ""
    url: str = entry["url"]
    return url


def get(address: str, headers: dict[str, str] | None = None, method: str = "GET") -> httpx.Response:
    """Fetches without an API key."""
    with httpx.Client(verify=False, timeout=30) as client:  # certificates take long to load
        return client.request(method, address, headers=headers)


def head(address: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return get(address, headers, "HEAD")


def signer(settings: Settings, clock: Callable[[], float]) -> UrlSigner:
    return UrlSigner("/v1/images/files", 3600, "", settings.data_dir(), clock)


@pytest.fixture
def url(server: RunningServer) -> str:
    return signed_url(server, seed=1)


@pytest.mark.parametrize("output_format", ["png", "jpeg"])
def test_file(server: RunningServer, output_format: str) -> None:
    """Without an API key the URL gives the bytes that the response would have contained."""
    address = signed_url(server, seed=2, output_format=output_format)
    assert address.startswith(f"{server.settings.public_base_url()}/v1/images/files/")
    assert urlsplit(address).path.endswith("." + output_format)
    response = get(address)
    assert response.status_code == 200
    plain = server.generate(seed=2, output_format=output_format).json()["data"][0]
    assert response.content == base64.b64decode(plain["b64_json"])
    assert Image.open(io.BytesIO(response.content)).format == output_format.upper()
    headers = response.headers
    assert headers["content-type"] == f"image/{output_format}"
    assert headers["content-length"] == str(len(response.content))
    assert headers["x-content-type-options"] == "nosniff" and headers["accept-ranges"] == "bytes"
    directives = dict(part.partition("=")[::2] for part in headers["cache-control"].split(", "))
    assert set(directives) == {"private", "max-age", "immutable"}
    assert 3500 < int(directives["max-age"]) <= 3600


def test_long_query(url: str) -> None:
    """A URL with many other parameters is rejected before they are parsed."""
    assert get(f"{url}&utm=1").status_code == 200
    error = error_of(get(url + "&a=b" * 300))
    assert (error["code"], error["message"]) == (404, "no such file: the query has over 1024 bytes")


def test_without_v1(url: str) -> None:
    """The path is served without the prefix, too."""
    assert get(url.replace("/v1/", "/")).status_code == 200


def test_head(url: str) -> None:
    """HEAD has the headers of GET and no body."""
    got, headers = get(url), head(url)
    assert headers.status_code == 200 and headers.content == b""
    for name in ("content-type", "content-length", "etag", "accept-ranges"):
        assert headers.headers[name] == got.headers[name]


def test_ranges(url: str) -> None:
    """Byte ranges follow RFC 9110."""
    whole = get(url)
    size = len(whole.content)

    def part(wanted: str, **headers: str) -> httpx.Response:
        return get(url, headers={"range": wanted, **headers})

    for wanted, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        (f"bytes={size - 5}-", size - 5, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=-{size * 2}", 0, size),
        (f"bytes=5-{size * 2}", 5, size),
        ("Bytes= 0-0 ,", 0, 1),
    ):
        response = part(wanted)
        assert response.status_code == 206, wanted
        assert response.content == whole.content[start:end]
        assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert response.headers["content-length"] == str(end - start)
    for wanted in ("bytes=0-1,5-6", "bytes=-", "bytes=9-3", "pixels=0-1", "bytes"):
        assert part(wanted).status_code == 200 and part(wanted).content == whole.content
    etag = whole.headers["etag"]
    assert part("bytes=0-0", **{"if-range": etag}).status_code == 206
    for tag in ('"other"', f"W/{etag}"):
        assert part("bytes=0-0", **{"if-range": tag}).status_code == 200
    response = head(url, headers={"range": "bytes=0-9"})
    assert (response.status_code, response.headers["content-length"]) == (200, str(size))


@pytest.mark.parametrize("wanted", ["bytes=99999999-", "bytes=99999999-999999999", "bytes=-0"])
def test_range_outside(url: str, wanted: str) -> None:
    """A range beyond the end is a 416 with the usual error body."""
    response = get(url, headers={"range": wanted})
    assert response.status_code == 416 and "bytes" in error_of(response)["message"]
    assert response.headers["content-range"] == f"bytes */{len(get(url).content)}"


def test_not_modified(url: str) -> None:
    """A client that has the file gets a 304; tags are lists, compared weakly."""
    etag = get(url).headers["etag"]
    for sent in (etag, "*", f"W/{etag}", f'"a", {etag}', f'W/"a,b",W/{etag}'):
        response = get(url, headers={"if-none-match": sent})
        assert (response.status_code, response.content) == (304, b""), sent
        assert response.headers["etag"] == etag
    for sent in ('"other"', etag.strip('"'), f'"{etag}"', ""):
        assert get(url, headers={"if-none-match": sent}).status_code == 200, sent


def test_if_match(url: str) -> None:
    """A file without the expected tag is a 412; weak tags never match."""
    etag = get(url).headers["etag"]
    for sent in (etag, "*", f'"a", {etag}'):
        assert get(url, headers={"if-match": sent}).status_code == 200, sent
    for sent in ('"other"', f"W/{etag}"):
        response = get(url, headers={"if-match": sent, "if-none-match": etag})
        assert response.status_code == 412 and etag in error_of(response)["message"]


def test_changed_links(url: str) -> None:
    """A URL that was changed anywhere is a 404 with the usual error body."""
    path, _, query = url.partition("?")
    expires = parse_qs(query)["expires"][0]
    wrong = [
        path,
        f"{path}?expires={expires}",
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace(expires, str(int(expires) + 1)),
        url.replace(expires, "x"),
        url.replace(".png", ".jpeg"),
        url + "é",
        path.rpartition("/")[0] + "/..%2f..%2fdaguerre.db?" + query,
    ]
    for address in wrong:
        response = get(address)
        assert response.status_code == 404, address
        assert error_of(response)["type"] == "invalid_request_error"


def test_expiry(server: RunningServer, url: str) -> None:
    """An expired URL is a 404 that says so, even while the image is stored."""
    name = urlsplit(url).path.rpartition("/")[2]
    for age_s, status in ((3590, 200), (3600, 404), (100_000, 404)):
        made_s = time.time() - age_s
        signing = signer(server.settings, lambda made_s=made_s: made_s)  # type: ignore[misc]
        address = signing.sign(server.settings.public_base_url(), name)
        response = get(address)
        assert response.status_code == status
        assert status == 200 or "has expired" in error_of(response)["message"]


def test_evicted_image(server: RunningServer) -> None:
    """A valid URL of an evicted image is a 404, also for a client that has the image."""
    address = signed_url(server)
    name = urlsplit(address).path.rpartition("/")[2]
    (server.settings.data_dir() / DIR_NAME / name).unlink()
    for headers in ({}, {"if-none-match": "*"}):
        response = get(address, headers)
        assert response.status_code == 404 and name in error_of(response)["message"]


def test_public_url(tmp_path: Path) -> None:
    """Signed URLs begin with the public address."""
    public = "https://images.example.com/ai"
    with running(tmp_path, public_url=public + "/") as server:
        address = signed_url(server)
        assert address.startswith(public + "/v1/images/files/")
        behind = address.replace(public, f"http://127.0.0.1:{server.settings.port}")
        assert get(behind).status_code == 200


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("gpu-box.lan:8000", "http://gpu-box.lan:8000"),
        ("IMAGES.example.com:80", "http://images.example.com"),
        ("[::1]:9000", "http://[::1]:9000"),
        ("my_service", "http://my_service"),
        ("my-service:", "http://my-service"),
    ],
)
def test_host_of_the_request(server: RunningServer, host: str, base: str) -> None:
    """Without a public address, links have the host that the client named."""
    body = {"model": MODEL, "prompt": "x", "response_format": "url"}
    forged = {"x_forwarded_proto": "https", "x_forwarded_host": "evil.example"}
    url = server.post(body, host=host, **forged).json()["data"][0]["url"]
    assert url.startswith(base + "/v1/images/files/")
    document = server.client.get("/openapi.json", headers={"host": host}).json()
    assert document["servers"] == [{"url": base}]


@pytest.mark.parametrize("host", ["user@x", "x/y", "x:port", "x y", "x?", "é", "x" * 300, "1.2.3"])
def test_invalid_host(server: RunningServer, host: str) -> None:
    """A link needs a valid Host header; other responses do not."""
    headers = {"authorization": f"Bearer {server.key}", "host": host.encode("latin-1")}
    body = {"model": MODEL, "prompt": "x", "response_format": "url"}
    response = server.client.post(PATH, json=body, headers=headers)  # type: ignore[arg-type]
    assert (error_of(response)["code"], error_of(response)["param"]) == (400, "host")
    assert "host name or an IP address" in error_of(response)["message"]
    assert server.engine.params == []
    response = server.client.post(PATH, json=body | {"response_format": None}, headers=headers)  # type: ignore[arg-type]
    assert response.status_code == 200


def test_without_a_host(server: RunningServer) -> None:
    """A link for a client of HTTP/1.0 without Host is one on this machine."""
    body = b'{"model": "%s", "prompt": "x", "response_format": "url"}' % MODEL.encode()
    head = server.head(len(body)).replace(b"HTTP/1.1\r\nHost: x", b"HTTP/1.0")
    with server.connection() as connection:
        connection.sendall(head + body)
        status, _, answer = read_answer(connection)
    assert status == 200
    assert f'"{server.settings.public_base_url()}/v1/images/files/'.encode() in answer


def test_default_response_format(tmp_path: Path) -> None:
    """The setting applies to requests without the field; a stream carries its image."""
    with running(tmp_path, default_response_format="url") as server:
        assert list(server.generate().json()["data"][0]) == ["url", "revised_prompt"]
        inline = server.generate(response_format="b64_json").json()["data"][0]
        assert list(inline) == ["b64_json", "revised_prompt"]
        assert '"b64_json":"' in server.generate(stream=True).text


def test_openai_package(server: RunningServer) -> None:
    """OpenAI's package returns the URL, and no b64_json."""
    with openai.OpenAI(
        base_url=server.settings.public_base_url() + "/v1", api_key=server.key, max_retries=0
    ) as client:
        answer = client.images.generate(model=MODEL, prompt="x", response_format="url")
    assert answer.data and answer.data[0].b64_json is None
    assert get(str(answer.data[0].url)).content.startswith(b"\x89PNG")


def test_after_a_restart(tmp_path: Path) -> None:
    """Secret and images survive a restart; with another secret no URL is valid."""
    with running(tmp_path) as server:
        address = urlsplit(signed_url(server))
        server.resources.destroy("DIFFUSION")
    assert mode(tmp_path / SECRET_FILE) == 0o600
    for status in (200, 404):
        with running(tmp_path) as server:
            again = f"{server.settings.public_base_url()}{address.path}?{address.query}"
            assert get(again).status_code == status
            server.resources.destroy("DIFFUSION")
        (tmp_path / SECRET_FILE).unlink()


def test_shared_secret(tmp_path: Path) -> None:
    """Servers with the same secret accept each other's URLs, without a secret file."""
    ours, theirs = (UrlSigner("", 60, "s" * 32, tmp_path / str(i)) for i in range(2))
    query = dict(parse_qsl(urlsplit(ours.sign("http://x", "a.png")).query))
    assert 0 < theirs.verify("a.png", query) <= 60
    assert list(tmp_path.iterdir()) == []


CONTENTS = {"empty": b"", "blank": b"\n" * 40, "short": b"x" * 31, "directory": None}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_damaged_secret(tmp_path: Path, content: bytes | None) -> None:
    """A server with a short or unreadable secret does not start: anyone could sign with it."""
    file = tmp_path / SECRET_FILE
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"{file}.* delete it to get a new secret") as caught:
        with running(tmp_path):
            pass
    assert "\n" not in caught.value.message


def test_secret_cannot_be_created(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the secret cannot be created or is damaged later, a URL is a 503, not a failure."""
    with running(tmp_path) as server:
        (tmp_path / SECRET_FILE).mkdir()
        answer = server.generate(response_format="url")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        unsigned = f"/v1/images/files/{'0' * 64}.png?expires=1&signature=x"
        assert server.client.get(unsigned).status_code == 503
        (tmp_path / SECRET_FILE).rmdir()
        assert get(signed_url(server)).status_code == 200
    assert "cannot read its secret" in caplog.text and "Traceback" not in caplog.text


def test_side_by_side(server: RunningServer) -> None:
    """Concurrent requests get URLs of their own images."""
    with ThreadPoolExecutor(4) as pool:
        addresses = list(pool.map(lambda seed: signed_url(server, seed=seed), range(1, 9)))
    files = [get(address).content for address in addresses]
    assert len(set(addresses)) == len(set(files)) == 8


@pytest.mark.parametrize("headers", [{}, {"idempotency_key": "k"}])
def test_store_unavailable(tmp_path: Path, headers: dict[str, str]) -> None:
    """An image that cannot be stored is a 503 with a Retry-After, free of the rate limit."""
    body = {"model": MODEL, "prompt": "x", "response_format": "url"}
    with running(tmp_path) as server:
        (tmp_path / DIR_NAME).rmdir()
        (tmp_path / DIR_NAME).write_text("a file")
        response = server.post(body, key=server.limited(5), **headers)
    assert response.status_code == 503 and response.headers["retry-after"] == "5"
    assert response.headers["x-ratelimit-remaining-requests"] == "5"


def test_store_disabled(tmp_path: Path) -> None:
    """Without an image store, a request for a URL is a 400 before any work; others succeed."""
    with running(tmp_path, image_store_max_bytes=0) as server:
        error = error_of(server.generate(response_format="url"))
        assert (error["code"], error["param"]) == (400, "response_format")
        assert "image_store_max_bytes" in error["message"] and server.engine.params == []
        assert server.generate(response_format="b64_json").status_code == 200
        assert server.generate(stream=True).status_code == 200


def test_replayed_url(server: RunningServer) -> None:
    """A replay signs a new URL of the stored image; damage is repaired before it is signed."""
    body = {"model": MODEL, "prompt": "replay", "response_format": "url"}
    first = server.post(body, idempotency_key="url")
    file = get(first.json()["data"][0]["url"]).content
    name = urlsplit(first.json()["data"][0]["url"]).path.rpartition("/")[2]
    for damage, cache in ((None, "hit"), (b"half", "miss")):
        if damage:
            (server.settings.data_dir() / DIR_NAME / name).write_bytes(damage)
            assert get(first.json()["data"][0]["url"]).status_code == 404
        again = server.post(body, idempotency_key="url")
        assert again.headers["x-cache"] == cache
        assert get(again.json()["data"][0]["url"]).content == file


@pytest.fixture
def in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    store, secret = f"s3://{BUCKET}/images", "s" * 32
    with s3(monkeypatch), running(tmp_path, image_store=store, signed_url_secret=secret) as server:
        yield server


def test_bucket_without_a_secret(tmp_path: Path) -> None:
    """A server refuses to start with a bucket and no secret: others could not verify its URLs.

    A bucket that stores nothing needs none.
    """
    store: dict[str, Any] = {"image_store": f"s3://{BUCKET}/images"}
    with (
        pytest.raises(SettingsError, match="signed_url_secret is not set.*on all servers"),
        running(tmp_path / "a", **store),
    ):
        pass
    with running(tmp_path / "b", **store, image_store_max_bytes=0) as server:
        assert server.generate().status_code == 200


def test_bucket(in_a_bucket: RunningServer) -> None:
    """A bucket serves the file, a part of it, and replays."""
    address = signed_url(in_a_bucket, seed=3)
    whole = get(address)
    plain = in_a_bucket.generate(seed=3).json()["data"][0]["b64_json"]
    assert whole.status_code == 200 and whole.content == base64.b64decode(plain)
    part = get(address, headers={"range": "bytes=-4"})
    assert (part.status_code, part.content) == (206, whole.content[-4:])
    assert head(address).headers["content-length"] == str(len(whole.content))
    for cache in ("miss", "hit"):
        replay = in_a_bucket.post({"model": MODEL, "prompt": "x"}, idempotency_key="k")
        assert replay.headers["x-cache"] == cache
    assert not (in_a_bucket.settings.data_dir() / DIR_NAME).exists()
