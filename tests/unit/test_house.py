"""The house is in order: packages, requirements and documents say the same as the code."""

from __future__ import annotations

import configparser
import pkgutil
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("graph", "queries", "streaming", "ringwatch", "gnn")

#: Where packages and images may come from is for whoever installs to say. (The backslashes keep this file clean.)
HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|yarnpkg\.com|crates\.io|rubygems\.org|proxy\.golang"
    r"|repo\d?\.maven\.|maven\.org|sonatype\.org|docker\.io|ghcr\.io|quay\.io|(?<!emit-)index[-_]url",
    re.IGNORECASE,
)


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", "utf-8")
    return parser


def listed(text: str) -> set[str]:
    return set(text.split())


def pinned(file: str) -> dict[str, str]:
    """Each pinned requirement's name with what the file says that it is there for."""
    blocks = re.findall(r"^([\w.-]+)==\S+\n((?:    #.*\n)*)", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    return dict(blocks)


@pytest.mark.parametrize("name", NAMES)
def test_no_other_distribution_owns_one_of_our_names(name: str) -> None:
    assert set(packages_distributions().get(name, ["ringwatch"])) == {"ringwatch"}


@pytest.mark.parametrize("name", NAMES)
def test_our_names_are_found_in_this_folder(name: str) -> None:
    spec = find_spec(name)
    if spec is None:
        assert not (ROOT / name).exists()
    else:
        assert spec.origin == str(ROOT / name / "__init__.py")


def test_the_package_list_matches_the_folders() -> None:
    found = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for name in NAMES
        for file in (ROOT / name).rglob("__init__.py")
    }
    assert listed(setup()["options"]["packages"]) == found


def test_every_folder_with_python_in_it_is_a_package() -> None:
    for name in NAMES:
        for file in (ROOT / name).rglob("*.py"):
            assert (file.parent / "__init__.py").is_file(), file


def test_every_package_ships_its_types_and_data() -> None:
    data = setup()["options.package_data"]
    for name in {package.partition(".")[0] for package in listed(setup()["options"]["packages"])}:
        patterns = [pattern.strip() for pattern in data[name].split(",")]
        shipped = {file for pattern in patterns for file in (ROOT / name).glob(pattern)}
        others = {
            file
            for file in (ROOT / name).rglob("*")
            if file.is_file() and file.suffix not in (".py", ".pyc", ".md") and "__pycache__" not in file.parts
        }
        assert ROOT / name / "py.typed" in shipped
        assert others <= shipped


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements.txt", ()),
        ("requirements-evaluate.txt", ("evaluate", "scores")),
        ("requirements-gnn.txt", ("gnn", "gcp")),
        ("requirements-dev.txt", ("dev", "evaluate", "scores", "gnn", "gcp")),
    ],
)
def test_requirements_are_in_step_with_setup_cfg(file: str, extras: tuple[str, ...]) -> None:
    wanted = listed(setup()["options"]["install_requires"])
    for extra in extras:
        wanted |= listed(setup()["options.extras_require"][extra])
    direct = {name for name, reasons in pinned(file).items() if "ringwatch (setup.cfg)" in reasons}
    assert direct == {re.split(r"[\[<]", name.lower())[0] for name in wanted}, "run: make requirements"


def test_all_requirements_pin_the_same_versions() -> None:
    core, evaluate, gnn, dev = (
        set(re.findall(r"^\S+==\S+", (ROOT / file).read_text("utf-8"), re.MULTILINE))
        for file in (
            "requirements.txt",
            "requirements-evaluate.txt",
            "requirements-gnn.txt",
            "requirements-dev.txt",
        )
    )
    assert core <= evaluate <= dev, "run: make requirements"
    assert core <= gnn <= dev, "run: make requirements"


def test_the_hot_path_installs_without_torch() -> None:
    assert not {name for name in pinned("requirements.txt") if re.match("torch|nvidia|triton|scikit|scipy", name)}


def test_nothing_brings_pandas() -> None:
    """Where it is installed, the Neo4j driver imports it at every start of every command."""
    assert "pandas" not in pinned("requirements-dev.txt")


def tracked() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_registry() -> None:
    named = [
        f"{file.relative_to(ROOT)}: {found[0]}"
        for file in tracked()
        if (found := HOSTS.search(file.read_text("utf-8", "replace")))
    ]
    assert not named


def spoken(document: str) -> Iterator[str]:
    """What a document puts in backticks, code blocks left out."""
    text = re.sub(r"^```.*?^```", "", (ROOT / document).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_symbol_and_file_that_a_document_names_exists(document: str) -> None:
    symbols = re.compile(rf"(?:{'|'.join(NAMES)}|tests|benchmarks)(?:\.\w+)+")
    files = re.compile(rf"(?:{'|'.join(NAMES)}|tests|benchmarks|docker|\.ci)/[\w./*-]*")
    named = 0
    for text in spoken(document):
        if symbols.fullmatch(text.removesuffix("()")):
            pkgutil.resolve_name(text.removesuffix("()"))
        elif files.fullmatch(text):
            assert any(ROOT.glob(text)), f"{document} names {text}, which is not there"
        else:
            continue
        named += 1
    assert named, f"{document} names nothing that could be checked"
