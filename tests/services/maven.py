"""Java, and class paths of published artifacts: resolved once by Maven, then kept in ``.services``."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

CACHE = Path(__file__).parents[2] / ".services"

_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>service</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>{}</dependencies>
</project>
"""
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


class Missing(Exception):
    """A service cannot be started on this machine; the message says what it lacks."""


def find_java(minimum: int) -> tuple[Path, int]:
    """The oldest Java of at least the ``minimum`` major version here, with its version.

    Raises:
        Missing: there is none.
    """
    found = {version: home for home in _java_homes() if (version := _version(home)) >= minimum}
    if not found:
        raise Missing(f"needs Java {minimum} or later (in JAVA_HOME, on the PATH or in /usr/lib/jvm)")
    return found[min(found)] / "bin" / "java", min(found)


def class_path(*coordinates: str) -> str:
    """The class path of ``group:artifact:version`` coordinates and all that they depend on.

    Raises:
        Missing: Maven is not here, or cannot resolve them.
    """
    CACHE.mkdir(exist_ok=True)
    kept = CACHE / f"{hashlib.blake2b(' '.join(coordinates).encode(), digest_size=8).hexdigest()}.classpath"
    with (CACHE / "maven.lock").open("w") as lock:  # one for all: what Maven keeps is not made for two at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists() or not all(Path(jar).exists() for jar in kept.read_text().split(os.pathsep)):
            _resolve(coordinates, kept)
        return kept.read_text()


def _resolve(coordinates: tuple[str, ...], kept: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("needs Maven (mvn) to fetch its artifacts")
    with TemporaryDirectory(dir=CACHE) as folder:
        pom, result = Path(folder) / "pom.xml", Path(folder) / "classpath"
        pom.write_text(_POM.format("".join(_DEPENDENCY.format(*each.split(":")) for each in coordinates)))
        done = subprocess.run(
            [maven, "-q", "-B", "-f", str(pom), _PLUGIN, f"-Dmdep.outputFile={result}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Missing(f"Maven cannot resolve {coordinates[0]}: {done.stdout[-1000:]}")
        result.replace(kept)


def _java_homes() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java"):
        yield Path(java).resolve().parents[1]
    yield from Path("/usr/lib/jvm").glob("*")


def _version(home: Path) -> int:
    """The major version of the Java in ``home``, 0 where there is none."""
    try:
        release = (home / "release").read_text()
    except OSError:
        return 0
    match = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
    return int(match[1]) if match and (home / "bin" / "java").exists() else 0
