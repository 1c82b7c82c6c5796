"""The wheel and the sdist hold everything that the source tree says they should.

The sdist is built first and the wheel from it, as an installer without a wheel would. Nothing here needs a network.
"""

import configparser
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = ("numpy", "torch", "tensorflow", "jax", "mxnet")
IMPORT_PACKAGES = ("unimodule", *(f"unimodule_{name}" for name in BACKENDS))


def source_packages():
    """The folder of every import package in the checkout, by import name."""
    folders = [ROOT / "unimodule", *ROOT.glob("backends/unimodule_*"), *ROOT.glob("conformance/unimodule_*")]
    return {folder.name: folder for folder in folders if (folder / "__init__.py").is_file()}


def source_files(folder):
    """What a package's folder holds, as paths below the folder's parent."""
    return {
        path.relative_to(folder.parent).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def run(*command, **options):
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, **options
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the one wheel and the one sdist, built from this checkout."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return out


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("unimodule-*.whl")
    return path


@pytest.fixture(scope="module")
def wheel_names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def sdist_names(built):
    """The sdist's files without its leading name-version folder."""
    (path,) = built.glob("unimodule-*.tar.gz")
    with tarfile.open(path) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder that holds the wheel, installed, and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check", "--target", target]
    run(sys.executable, "-m", "pip", "install", *options, wheel, cwd=target)
    return target


def test_every_import_package_is_known():
    assert set(IMPORT_PACKAGES) <= set(source_packages())


def test_wheel_holds_every_file_of_every_import_package(wheel_names):
    missing = {name: source_files(folder) - wheel_names for name, folder in source_packages().items()}
    assert not any(missing.values()), missing


def test_wheel_holds_only_import_packages(wheel_names):
    tops = {name.partition("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(source_packages())


def test_sdist_holds_every_file_of_every_import_package(sdist_names):
    for name, folder in source_packages().items():
        prefix = folder.parent.relative_to(ROOT)
        expected = {(prefix / file).as_posix() for file in source_files(folder)}
        assert expected <= sdist_names, name


def test_every_import_package_is_typed(wheel_names, sdist_names):
    for name, folder in source_packages().items():
        assert f"{name}/py.typed" in wheel_names
        assert (folder.relative_to(ROOT) / "py.typed").as_posix() in sdist_names


@pytest.mark.parametrize("folder", ["tests", "docs", "examples", "benchmarks", "constraints"])
def test_sdist_holds_what_else_a_developer_needs(sdist_names, folder):
    tracked = run("git", "ls-files", folder, cwd=ROOT).split() if (ROOT / ".git").exists() else []
    present = {name for name in tracked if (ROOT / name).is_file()}
    assert present <= sdist_names


def test_sdist_can_set_itself_up(sdist_names):
    needed = {"pyproject.toml", "tox.ini", "Makefile", "tools/setup_env.sh", "LICENSE", "CHANGELOG.md"}
    assert needed <= sdist_names


def test_readme_is_declared_once_there_is_one():
    """Building fails if it is declared and missing; nothing else would tell if it is there and undeclared."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert ("readme" in project) == (ROOT / "README.md").is_file()


def test_entry_points(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        parser = configparser.ConfigParser()
        parser.read_string(archive.read(name).decode())
    assert dict(parser["unimodule.backends"]) == {name: f"unimodule_{name}:INFO" for name in BACKENDS}
    assert dict(parser["console_scripts"]) == {"unimodule": "unimodule.cli:main"}
    assert dict(parser["unimodule.commands"]) == {"conformance": "unimodule_conformance.cli:conformance"}
    assert dict(parser["pytest11"]) == {"unimodule_conformance": "unimodule_conformance.plugin"}


def test_installed_entry_points_load_without_a_framework(installed):
    """Each adapter's INFO, and the console script, can be read where no framework is installed."""
    program = f"""
import importlib.metadata, sys
installed = {os.fspath(installed)!r}
sys.path.insert(0, installed)
frameworks = ["torch", "tensorflow", "jax", "mxnet"]
for framework in frameworks:
    sys.modules[framework] = None          # any import of it fails
(distribution,) = importlib.metadata.distributions(name="unimodule", path=[installed])
for entry in distribution.entry_points:
    entry.load()
    assert sys.modules[entry.module].__file__.startswith(installed), sys.modules[entry.module].__file__
    print(entry.group, entry.name)
"""
    loaded = run(sys.executable, "-I", "-c", program, cwd=installed).splitlines()
    assert sorted(loaded) == sorted(
        [f"unimodule.backends {name}" for name in BACKENDS]
        + ["console_scripts unimodule"]
        + ["unimodule.commands conformance", "pytest11 unimodule_conformance"]
    )
