"""Links to images: that they lead to the file, for whom, for how long, and in which parts."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import openai
import pytest
from conftest import MODEL, RunningServer, error_of, mode, running
from PIL import Image
from s3 import BUCKET, s3

from daguerre.config import Settings
from daguerre.errors import UnavailableError
from daguerre.server.routes.signed_urls import KEY_FILE, UrlSigner
from daguerre.storage.file_store import FileStore


def link(server: RunningServer, **fields: object) -> str:
    answer = server.generate(response_format="url", **fields)
    assert answer.status_code == 200, answer.text
    [entry] = answer.json()["data"]
    assert list(entry) == ["url", "revised_prompt"] and entry["revised_prompt"] == ""
    url: str = entry["url"]
    return url


def get(address: str, headers: dict[str, str] | None = None, method: str = "GET") -> httpx.Response:
    """Without a key, as anyone."""
    with httpx.Client(verify=False, timeout=30) as client:  # certificates take long to load
        return client.request(method, address, headers=headers)


def head(address: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return get(address, headers, "HEAD")


@pytest.fixture
def url(server: RunningServer) -> str:
    return link(server, seed=1)


@pytest.mark.parametrize("output_format", ["png", "jpeg"])
def test_file(server: RunningServer, output_format: str) -> None:
    """Without a key the link gives the very file that the answer would have had."""
    address = link(server, seed=2, output_format=output_format)
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
    kept = dict(part.partition("=")[::2] for part in headers["cache-control"].split(", "))
    assert set(kept) == {"private", "max-age", "immutable"}
    assert 3500 < int(kept["max-age"]) <= 3600


def test_without_v1(url: str) -> None:
    """The path is served without the prefix, too."""
    assert get(url.replace("/v1/", "/")).status_code == 200


def test_head(url: str) -> None:
    """HEAD tells what GET would, and sends nothing."""
    got, told = get(url), head(url)
    assert told.status_code == 200 and told.content == b""
    for name in ("content-type", "content-length", "etag", "accept-ranges"):
        assert told.headers[name] == got.headers[name]


def test_ranges(url: str) -> None:
    """Parts of the file, as RFC 9110 has them."""
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
    assert part("bytes=0-0", **{"if-range": '"other"'}).status_code == 200
    told = head(url, headers={"range": "bytes=0-9"})
    assert (told.status_code, told.headers["content-length"]) == (206, "10")


@pytest.mark.parametrize("wanted", ["bytes=99999999-", "bytes=99999999-999999999", "bytes=-0"])
def test_range_outside(url: str, wanted: str) -> None:
    """A range behind the end is a 416 in the usual body."""
    response = get(url, headers={"range": wanted})
    assert response.status_code == 416 and "bytes" in error_of(response)["message"]
    assert response.headers["content-range"] == f"bytes */{len(get(url).content)}"


def test_not_modified(url: str) -> None:
    """Whoever has the file already is told so."""
    etag = get(url).headers["etag"]
    for sent in (etag, "*"):
        response = get(url, headers={"if-none-match": sent})
        assert (response.status_code, response.content) == (304, b"")
    assert get(url, headers={"if-none-match": '"other"'}).status_code == 200


def test_changed_links(url: str) -> None:
    """A link of which anything was changed leads nowhere: 404 in the usual body."""
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
    """After its time a link is a 404 that says so, though the file may be there still."""
    name = urlsplit(url).path.rpartition("/")[2]
    for age_s, status in ((3590, 200), (3600, 404), (100_000, 404)):
        made_s = time.time() - age_s
        address = UrlSigner(server.settings, lambda made_s=made_s: made_s).make(name)  # type: ignore[misc]
        response = get(address)
        assert response.status_code == status
        assert status == 200 or "has expired" in error_of(response)["message"]


def test_file_that_is_gone(server: RunningServer) -> None:
    """A good link to a file that had to make room is a 404."""
    address = link(server)
    name = urlsplit(address).path.rpartition("/")[2]
    (server.settings.data_dir() / "files" / name).unlink()
    response = get(address)
    assert response.status_code == 404 and name in error_of(response)["message"]


def test_public_url(tmp_path: Path) -> None:
    """Links lead through the address that clients use."""
    public = "https://images.example.com/ai"
    with running(tmp_path, public_url=public + "/") as server:
        address = link(server)
        assert address.startswith(public + "/v1/images/files/")
        behind = address.replace(public, f"http://127.0.0.1:{server.settings.port}")
        assert get(behind).status_code == 200


def test_default_of_the_server(tmp_path: Path) -> None:
    """The setting answers with links whoever does not ask otherwise; a stream carries its image."""
    with running(tmp_path, default_response_format="url") as server:
        assert list(server.generate().json()["data"][0]) == ["url", "revised_prompt"]
        inline = server.generate(response_format="b64_json").json()["data"][0]
        assert list(inline) == ["b64_json", "revised_prompt"]
        assert '"b64_json":"' in server.generate(stream=True).text


def test_openai_package(server: RunningServer) -> None:
    """The package returns the link, and no b64_json."""
    with openai.OpenAI(
        base_url=server.settings.public_base_url() + "/v1", api_key=server.key, max_retries=0
    ) as client:
        answer = client.images.generate(model=MODEL, prompt="x", response_format="url")
    assert answer.data and answer.data[0].b64_json is None
    assert get(str(answer.data[0].url)).content.startswith(b"\x89PNG")


def test_after_a_restart(tmp_path: Path) -> None:
    """The secret and the files stay, the secret private; with another one no link is good."""
    with running(tmp_path) as server:
        address = urlsplit(link(server))
        server.resources.destroy("DIFFUSION")
    assert mode(tmp_path / KEY_FILE) == 0o600
    for status in (200, 404):
        with running(tmp_path) as server:
            again = f"{server.settings.public_base_url()}{address.path}?{address.query}"
            assert get(again).status_code == status
            server.resources.destroy("DIFFUSION")
        (tmp_path / KEY_FILE).unlink()


def test_shared_secret(tmp_path: Path) -> None:
    """Servers with one secret take each other's links; no file is made for it."""
    settings = [Settings(home=tmp_path / str(i), files_secret="s" * 32) for i in range(2)]
    query = parse_qs(urlsplit(UrlSigner(settings[0]).make("a.png")).query)
    sent = {name: values[0] for name, values in query.items()}
    assert UrlSigner(settings[1]).seconds_left("a.png", sent) > 0
    assert list(tmp_path.iterdir()) == []


def test_side_by_side(server: RunningServer) -> None:
    """Requests at the same time get links of their own."""
    with ThreadPoolExecutor(4) as pool:
        addresses = list(pool.map(lambda seed: link(server, seed=seed), range(1, 9)))
    files = [get(address).content for address in addresses]
    assert len(set(addresses)) == len(set(files)) == 8


def test_store_out_of_order(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that cannot be kept is a 503 with a Retry-After, and costs nothing."""

    async def fail(self: FileStore, name: str, data: bytes) -> None:
        raise UnavailableError("the store of files does not answer", retry_after_s=5)

    key = server.limited(5)
    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "put", fail)
        body = {"model": MODEL, "prompt": "x", "response_format": "url"}
        response = server.post(body, key=key)
    assert response.status_code == 503 and response.headers["retry-after"] == "5"
    assert response.headers["x-ratelimit-remaining-requests"] == "5"


@pytest.fixture
def in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    with s3(monkeypatch), running(tmp_path, files_url=f"s3://{BUCKET}/links") as server:
        yield server


def test_bucket(in_a_bucket: RunningServer) -> None:
    """From a bucket, too: the file, a part of it, and the end of what is not there."""
    address = link(in_a_bucket, seed=3)
    whole = get(address)
    plain = in_a_bucket.generate(seed=3).json()["data"][0]["b64_json"]
    assert whole.status_code == 200 and whole.content == base64.b64decode(plain)
    part = get(address, headers={"range": "bytes=-4"})
    assert (part.status_code, part.content) == (206, whole.content[-4:])
    assert head(address).headers["content-length"] == str(len(whole.content))
    assert not (in_a_bucket.settings.data_dir() / "files").exists()
