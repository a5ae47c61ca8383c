"""Cloud Storage as fake-gcs-server emulates it: built once by Go, then kept in ``.services``."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.request import Request, urlopen

from tests.services.maven import CACHE, Missing
from tests.services.process import HOST, ServerProcess, accepts, free_port

VERSION = "v1.56.1"


class CloudStorageServer(ServerProcess):
    """An emulator at ``url``, which clients find by the variable ``STORAGE_EMULATOR_HOST``."""

    def __init__(self) -> None:
        self._binary = _built()
        super().__init__()
        self._port = free_port()
        self.url = f"http://{HOST}:{self._port}"

    def prepare(self) -> None:
        (self.folder / "objects").mkdir(exist_ok=True)

    def command(self) -> list[str]:
        place = [
            "-scheme",
            "http",
            "-host",
            HOST,
            "-port",
            str(self._port),
            "-public-host",
            f"{HOST}:{self._port}",
        ]
        return [
            str(self._binary),
            *place,
            "-external-url",
            self.url,
            "-filesystem-root",
            str(self.folder / "objects"),
        ]

    def answers(self) -> bool:
        return accepts(self._port)

    def create_bucket(self, name: str) -> None:
        """Make a bucket that does not exist yet."""
        body = json.dumps({"name": name}).encode()
        request = Request(f"{self.url}/storage/v1/b?project=test", body, {"Content-Type": "application/json"})
        urlopen(request, timeout=10).close()


def _built() -> Path:
    CACHE.mkdir(exist_ok=True)
    binary = CACHE / f"fake-gcs-server-{VERSION}"
    with binary.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _build(binary)
    return binary


def _build(binary: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise Missing("needs Go to build fake-gcs-server")
    done = subprocess.run(
        [go, "install", f"github.com/fsouza/fake-gcs-server@{VERSION}"],
        env=os.environ | {"GOBIN": str(CACHE)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Missing(f"Go cannot build fake-gcs-server: {done.stderr[-1000:]}")
    (CACHE / "fake-gcs-server").rename(binary)
