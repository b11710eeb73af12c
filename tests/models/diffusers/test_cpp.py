"""The benchmark against stable-diffusion.cpp's server, which a fake program replaces here."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from .conftest import REASON

pytest.importorskip("diffusers", reason=REASON)

# Takes options and a seed as the real one does, and writes at least as much output.
FAKE_SERVER = f"""#!{sys.executable}
import base64, http.server, io, json, re, sys
from PIL import Image

if "--version" in sys.argv:
    sys.exit(print("stable-diffusion.cpp version 1.2, commit abc"))

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print("sampling\\n" * 20000, flush=True)
        own = re.search("<sd_cpp_extra_args>(.*)</sd_cpp_extra_args>", asked["prompt"]).group(1)
        image = Image.linear_gradient("L").resize(tuple(map(int, asked["size"].split("x"))))
        image = image.point([(level + json.loads(own)["seed"]) % 256 for level in range(256)])
        file = io.BytesIO()
        image.save(file, "PNG")
        body = json.dumps({{"data": [{{"b64_json": base64.b64encode(file.getvalue()).decode()}}]}})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

print("loading\\n" * 20000, flush=True)
value = lambda name: sys.argv[sys.argv.index(name) + 1]
if not value("--model").endswith("checkpoint"):
    sys.exit("[ERROR] get sd version from file failed")
address = (value("--listen-ip"), int(value("--listen-port")))
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    program = tmp_path / "sd-server"
    program.write_text(FAKE_SERVER)
    program.chmod(0o755)
    return program


def test_load(program: Path, tmp_path: Path) -> None:
    """The server is started, sent requests with seeds, and stopped; its output fills no pipe."""
    from bench.compare import Load, checkpoints, cpp

    kind = checkpoints.Kind(lambda folder: 0, "none", 2, 7.5, is_whole=True)
    log, checkpoint = tmp_path / "log", tmp_path / "checkpoint"
    with cpp.serving(program, log, checkpoint, kind, "f16") as server:
        load = Load(server, math.inf, cpp.as_told)
        for number in (0, 1, 0):
            load.run(1, [number])
        (result,) = load.results("sd.cpp f16", [1])
        assert len({answer.digest for answer in result.answers}) == 2
    assert server.process is not None and server.process.poll() is not None
    assert log.read_text().count("sampling") == 4 * 20000


def test_unsupported_checkpoint(program: Path, tmp_path: Path) -> None:
    """The error has the end of the program's output."""
    from bench.compare import checkpoints, cpp
    from bench.load import LoadError

    kind = checkpoints.Kind(lambda folder: 0, "none", 2, 7.5)
    starting = cpp.serving(program, tmp_path / "log", tmp_path / "another", kind, "f16")
    with pytest.raises(LoadError, match="status 1(.|\n)*get sd version from file failed"), starting:
        pass


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["sd-1.5-whole", "--sd-server", "/none"], "'/none'; it must be the program sd-server"),
        (["sd-1.5-whole", "--sd-server", sys.executable], "--version exits with status 0"),
        (["dit", "--sd-server", "PROGRAM"], "loads only sd-1.5-whole; name it"),
        (["--sd-server", "PROGRAM"], "loads only sd-1.5-whole; name it"),
        (
            ["sd-1.5-whole", "--sd-dtypes", "f64"],
            "--sd-dtypes has 'f64'; use one of f32, f16, bf16",
        ),
        (["sd-1.5-whole", "--dtypes", ""], "--dtypes has ''; use one of none, float32, bfloat16"),
        (["sd-1.5-whole", "--quick"], "no checkpoint 'sd-1.5-whole'; use one of sd-1.5, dit"),
    ],
)
def test_wrong_options(
    options: list[str], reason: str, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.compare.options import parse

    with pytest.raises(SystemExit):
        parse([str(program) if word == "PROGRAM" else word for word in options], None)
    assert reason in capsys.readouterr().err


def test_options(program: Path) -> None:
    from bench.compare.options import parse

    options = parse(
        ["sd-1.5-whole", "--sd-server", str(program), "--sd-dtypes", "f16,bf16"]
        + ["--dtypes", "none", "--clients", "1"],
        None,
    )
    assert (options.dtypes, options.sd_dtypes, options.clients) == ([], ["f16", "bf16"], [1])
