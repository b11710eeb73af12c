"""deploy/Dockerfile: built by buildah on a base made by debootstrap, and run without writing to it.

No registry is needed. The container is a chroot with a read-only root in a mount namespace of its
own, because that needs no container runtime.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MODEL, PATIENCE_S, wait_until

from deployment.files import DEPLOY, ROOT

pytestmark = pytest.mark.soak

DOCKERFILE = DEPLOY / "Dockerfile"
USER = 10001
# With about 130 MB of the base, the image has at most 500 MB.
MAX_INSTALLED_BYTES = 370e6
_PROGRAMS = ("buildah", "debootstrap", "unshare", "chroot", "apt-get")
_PIP_CONF = "[global]\nno-index = true\nfind-links = /wheels\n"
# Mounts the root read-only and the data directory below it, and becomes the image's user.
_ENTER = f"""
set -e
root=$1 data=$2
shift 2
mount --bind "$root" "$root"
mount --bind "$data" "$root/var/lib/daguerre"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind -o ro /sys "$root/sys"
exec chroot --userspec={USER}:{USER} "$root" env --ignore-environment "$@"
"""


def why_not() -> str | None:
    """Why the image cannot be built here, or None."""
    if os.geteuid():
        return "debootstrap and mounts need root"
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}; apt-get install buildah" if missing else None


def run(*command: str | Path, home: Path | None = None) -> str:
    environ = {**os.environ, "HOME": str(home)} if home else None
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environ)
    assert done.returncode == 0, f"{command} failed; see its output above"
    return done.stdout.strip()


def debian_mirror() -> str:
    """The mirror from which this machine installs its packages."""
    fields = "$(ORIGIN) $(COMPONENT) $(REPO_URI)"
    targets = run("apt-get", "indextargets", "--format", fields, "Created-By: Packages")
    found = [line.split() for line in targets.splitlines()]
    return next(uri for origin, part, uri in found if (origin, part) == ("Debian", "main"))


def make_base(folder: Path) -> None:
    """A minimal Debian with Python, like the default base of the Dockerfile."""
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if line
    )
    suite, packages = release["VERSION_CODENAME"], "python3,python3-venv"
    options = ("--variant=minbase", f"--include={packages}")
    run("debootstrap", *options, suite, folder, debian_mirror())


def download_wheels(folder: Path, python: str) -> None:
    """What the Dockerfile's first target installs, for this version of Python."""
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    home = folder.parent  # pip runs `rustc --version`, which may write there
    run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT, home=home)
    (wheel,) = folder.glob("daguerre-*.whl")
    binary = ("--only-binary=:all:", f"--python-version={python}")
    pins = ("--constraint", ROOT / "constraints.txt")
    extras = re.search(r"^ARG EXTRAS=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert extras
    wanted = (f"{wheel}[{extras.group(1)}]", "hatchling", "setuptools")
    run(*pip, "download", *binary, *pins, "--dest", folder, *wanted, home=home)
    wheel.unlink()  # the Dockerfile builds it itself


@dataclass
class Container:
    root: Path
    config: dict[str, Any]
    data: Path
    port: int

    def argv(self, *command: str) -> list[str]:
        """The command that runs another one in the container, with the image's variables."""
        variables = [*self.config["Env"], f"DAGUERRE_PORT={self.port}"]
        enter = ["sh", "-c", _ENTER, "sh", str(self.root), str(self.data)]
        return ["unshare", "--mount", "--propagation=private", *enter, *variables, *command]

    def fails(self, *command: str) -> bool:
        return subprocess.run(self.argv(*command), stderr=subprocess.DEVNULL).returncode != 0

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        command: Sequence[str] = self.config["Entrypoint"] + self.config["Cmd"]
        process = subprocess.Popen(self.argv(*command))
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("image")
    # The driver vfs copies layers, and so leaves no mount behind if the tests are killed.
    storage = (f"--root={folder}/storage", f"--runroot={folder}/run", "--storage-driver=vfs")
    buildah = ("buildah", *storage)
    base, wheels, data = folder / "base", folder / "wheels", folder / "data"
    wheels.mkdir()
    data.mkdir()
    os.chown(data, 0, USER)
    data.chmod(0o2777)  # like an emptyDir with an fsGroup in Kubernetes
    make_base(base)
    version = "import sys; print('%d.%d' % sys.version_info[:2])"
    download_wheels(wheels, run("chroot", base, "python3", "-c", version))
    (folder / "pip.conf").write_text(_PIP_CONF)
    scratch = run(*buildah, "from", "scratch")
    run(*buildah, "add", "--quiet", scratch, base, "/")
    run(*buildah, "commit", "--quiet", "--rm", scratch, "localhost/base")
    mounts = (f"--volume={wheels}:/wheels:ro", f"--volume={folder}/pip.conf:/etc/pip.conf:ro")
    options = ("--isolation=chroot", "--format=docker", "--build-arg=BASE=localhost/base")
    run(*buildah, "build", *options, *mounts, f"--file={DOCKERFILE}", "--tag=daguerre", ROOT)
    config = json.loads(run(*buildah, "inspect", "--type=image", "daguerre"))["Docker"]
    root = Path(run(*buildah, "mount", run(*buildah, "from", "daguerre")))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    yield Container(root, config["config"], data, port)
    assert str(folder) not in Path("/proc/self/mounts").read_text()
    shutil.rmtree(folder)


def test_configuration(container: Container) -> None:
    """The image has a user by number, a health check, and data in a volume."""
    config = container.config
    assert config["User"] == f"{USER}:{USER}"
    assert config["ExposedPorts"] == {"8000/tcp": {}}
    assert {*config["Volumes"]} == {"/var/lib/daguerre"}
    assert config["Healthcheck"]["Test"][0] == "CMD"


def size(folder: Path) -> int:
    """Of all files, in bytes."""
    found = (path.lstat() for path in folder.rglob("*"))
    return sum(stats.st_size for stats in found if stat.S_ISREG(stats.st_mode))


def test_size(container: Container) -> None:
    """The image is small, and has neither pip nor the sources."""
    installed = container.root / "opt" / "daguerre"
    num_bytes, total = size(installed), size(container.root)
    print(f"{num_bytes / 1e6:.0f} MB are installed; with this base, {total / 1e6:.0f} MB")
    assert num_bytes < MAX_INSTALLED_BYTES
    assert not (container.root / "source").exists()
    assert not any(installed.rglob("pip"))


def test_serves(container: Container) -> None:
    """With a read-only root, the server makes an image, is healthy, and stops when it must."""
    url = f"http://127.0.0.1:{container.port}"
    touch = "from pathlib import Path; Path('/tmp/x').touch()"
    assert container.fails("python", "-c", touch)
    with container.serving() as process:

        def is_ready() -> bool:
            assert process.poll() is None
            try:
                return httpx.get(url + "/readyz").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(is_ready)
        check = container.config["Healthcheck"]["Test"][1:]
        run(*container.argv(*check))
        variables = json.loads(run(*container.argv("daguerre", "config", "--json")))
        key = {"authorization": f"Bearer {variables['DIFFUSION_KEY']}"}
        answer = httpx.post(
            url + "/v1/images/generations",
            json={"model": MODEL, "prompt": "a red fox"},
            headers=key,
            timeout=PATIENCE_S,
        )
        assert answer.status_code == 200, answer.text
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert container.fails(*check)
