"""What is handed on: the wheel and the source archive, installed and used as a stranger would."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import files
import pytest
import soundfile
import yaml

import audiosep

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "audiosep"
SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".npy", ".ipynb")
MEGABYTE = 1_000_000


def shipped():
    """Files of the package, as they stand here."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def run(*command, **options):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def build(source, out):
    """A wheel and a source archive, by the hooks that pip calls."""
    code = (
        "import sys; from hatchling.build import build_sdist, build_wheel; "
        "print(build_wheel(sys.argv[1])); print(build_sdist(sys.argv[1]))"
    )
    made = run(sys.executable, "-c", code, out, cwd=source).stdout.split()
    return out / made[-2], out / made[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("built"))


# --- contents -----------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_nothing_else(built):
    wheel, _ = built
    assert wheel.stat().st_size < 3 * MEGABYTE
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        notices = {name.partition("/licenses/")[2] for name in archive.namelist()}
    assert names == shipped()
    assert {"audiosep/py.typed", "audiosep/data/speech.safetensors"} <= names
    assert {f"audiosep/{page}/assets/page.html" for page in ("report", "studio")} <= names
    assert not [name for name in names if name.endswith(SOUNDS) or "test" in Path(name).name]
    # Whose work it is goes along with it.
    assert {"LICENSE", "audiosep/data/README.md"} <= notices
    assert any("wavesurfer" in name for name in notices)


def test_what_the_wheel_says_of_itself(built):
    wheel, _ = built
    with zipfile.ZipFile(wheel) as archive:
        (place,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        said = HeaderParser().parsestr(archive.read(place).decode("utf-8"))
        entry = archive.read(place.replace("METADATA", "entry_points.txt")).decode("utf-8")
    assert said["Name"] == "audiosep"
    assert said["Requires-Python"] == ">=3.11"
    assert "MIT" in said["License-Expression"]
    assert said["Description-Content-Type"] == "text/markdown"
    assert "audiosep = audiosep.cli:main" in entry
    # Nothing that only tests need is asked of users.
    needed = [line for line in said.get_all("Requires-Dist") if "extra ==" not in line]
    assert len(needed) <= 12
    assert not [line for line in needed if re.match("pytest|mypy|scikit|matplotlib|dask", line)]


def test_of_the_source_archive_the_same_wheel_can_be_made(built, tmp_path):
    wheel, source = built
    assert source.stat().st_size < 3 * MEGABYTE
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    again, _ = build(unpacked, tmp_path)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert {e.filename: e.CRC for e in one.infolist()} == {
            e.filename: e.CRC for e in other.infolist()
        }
    there = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*")}
    assert {"README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "pyproject.toml"} <= there
    assert not {"tests", "examples", "docs"} & there
    assert not [name for name in there if name.endswith(SOUNDS)]


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == audiosep.__version__
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"audiosep, version {audiosep.__version__}, as [CITATION.cff]" in readme
    # Whose methods these are: README and the citation name the same papers.
    cited = {work["authors"][0]["family-names"] for work in citation["references"]}
    assert len(cited) >= 6
    for name in cited:
        assert name in readme.partition("## Citing")[2], name


# --- use ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stranger(built, tmp_path_factory):
    """A fresh environment with the wheel alone; what it depends on is that of this environment."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed in this environment, so no wheel can be")
    home = tmp_path_factory.mktemp("stranger") / "env"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q"]
    run(*pip, "--no-deps", "--no-index", "--no-compile", built[0])
    (site,) = (home / "lib").glob("python3.*/site-packages")
    # A line in a .pth adds a folder, but reads no .pth in it: what is installed there for
    # development stays there.
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "others.pth").write_text("\n".join(sorted(places)))
    return python


def environment(folder):
    """Nothing of this checkout, no home, and no index."""
    kept = ("PATH", "NUMBA_CACHE_DIR", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "LANG")
    given = {name: os.environ[name] for name in kept if name in os.environ}
    return {**given, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}


CUT_OFF = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise PermissionError(event)

sys.addaudithook(refuse)
"""


def without_network():
    """The beginning of a command that has no network, where the system allows to make one."""
    cut = ["unshare", "--net", "--map-root-user"]
    if shutil.which("unshare") is None:
        return []
    tried = subprocess.run([*cut, "true"], capture_output=True, check=False)
    return [] if tried.returncode else cut


@pytest.mark.timeout(900)  # it compiles
def test_the_wheel_separates_without_a_network(stranger, tmp_path):
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(CUT_OFF)
    env = {**environment(tmp_path), "PYTHONPATH": str(tmp_path / "guard")}
    connect = "import socket; socket.create_connection(('127.0.0.1', 9))"
    tried = subprocess.run([stranger, "-c", connect], env=env, capture_output=True, check=False)
    assert b"PermissionError: socket" in tried.stderr
    source = files.write_sound(tmp_path / "mix.wav")
    command = stranger.with_name("audiosep")
    done = run(
        *without_network(),
        *(command, "split", source.name, *files.SMALL, "--report", "--json"),
        cwd=tmp_path,
        env=env,
    )
    said = json.loads(done.stdout)
    assert said["status"] == "done"
    stems = [soundfile.read(tmp_path / path, dtype="int32")[0] for path in said["stems"].values()]
    assert len(stems) > 1
    assert (sum(stems) == soundfile.read(source, dtype="int32")[0]).all()
    # It was the installed one that did it.
    place = run(stranger, "-c", "import audiosep; print(audiosep.__file__)", cwd=tmp_path, env=env)
    assert Path(place.stdout.strip()).is_relative_to(stranger.parent.parent)
    assert (tmp_path / "separated/mix/report.html").stat().st_size > 10_000
    run(command, "presets", cwd=tmp_path, env=env)
    assert "0.1." in run(command, "--version", cwd=tmp_path, env=env).stdout


@pytest.fixture(scope="module")
def scripts():
    """What can be run from ``scripts``, by name."""
    place = str(ROOT / "scripts")
    sys.path.insert(0, place)
    yield {name: importlib.import_module(name) for name in ("first_steps", "try_install")}
    sys.path.remove(place)


def test_what_the_readme_says_of_installing_is_what_is_tried(scripts):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(scripts["try_install"].WAYS) == {"pip", "pipx", "uv"}
    for command in scripts["try_install"].WAYS.values():
        assert command in readme


def test_first_steps_are_those_of_the_readme(scripts):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    steps = scripts["first_steps"]
    commands = steps.commands_of(readme)
    assert "pip install" in commands[0]
    assert [command.split()[:2] for command in commands[1:]] == [
        ["audiosep", "split"],
        ["audiosep", "report"],
        ["audiosep", "split"],
    ]
    seconds = [12.3, 45.6, 0.2, 7.0]
    filled = steps.with_seconds(readme, seconds)
    for command, taken in zip(commands, (12, 46, 1, 7), strict=True):
        (line,) = (line for line in filled.splitlines() if line.startswith(command + " "))
        assert line.endswith(f": {taken} s")
    assert steps.with_seconds(filled, seconds) == filled
    assert steps.commands_of(filled) == commands


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", ["pip", "pipx", "uv"])
def test_it_installs_with_all_it_needs(way):
    """From the package index, with empty caches, and takes an example apart."""
    done = run(sys.executable, ROOT / "scripts" / "try_install.py", "--with", way)
    assert re.search(rf"^{way} .* works$", done.stdout, re.MULTILINE), done.stdout


# --- types --------------------------------------------------------------------------------------

PROGRAM = '''
"""What a user might write."""

from pathlib import Path
from typing import assert_type

import numpy as np
import numpy.typing as npt

import audiosep
from audiosep import NMF, Separator, nmf


def stems_of(path: Path) -> dict[str, int]:
    result = audiosep.separate(path, preset="stems", seed=1, n_threads=2)
    assert_type(result, audiosep.Separation)
    assert_type(result.mixture, audiosep.Audio)
    assert_type(result.save("out", format="flac", bits=24), dict[str, Path])
    return {name: stem.n_samples for name, stem in result.stems.items()}


def long_one(path: str) -> bool:
    saved = Separator(preset="speech", quality="fast").split(path, "out", max_memory=10**9)
    verified = audiosep.verify("out", path)
    audiosep.export("out", to=["labels", "midi"], exists="overwrite")
    return bool(saved.paths) and verified.null_test_db is not None


def matrices(samples: npt.NDArray[np.float32]) -> audiosep.Factorization:
    audio = audiosep.Audio(samples=samples, sr=44100)
    spectrogram = audiosep.stft(audio, n_fft=2048)
    assert_type(spectrogram, audiosep.Spectrogram)
    assert_type(audiosep.istft(spectrogram), audiosep.Audio)
    found = nmf.factorize(
        spectrogram.magnitude(),
        8,
        beta="kl",
        solver="accelerated",
        activation_penalties=[nmf.Smoothness(0.1)],
    )
    assert_type(found, audiosep.Factorization)
    model = NMF(8, beta_loss="kullback-leibler", solver="mu", random_state=0)
    model.fit_transform(found.templates)
    return found


def known(path: Path) -> float | None:
    try:
        sound = audiosep.read(path, start=1.0, duration=2.0)
    except audiosep.AudiosepError as error:
        print(error)
        return None
    assert_type(sound, audiosep.Audio)
    dictionary = audiosep.learn([sound], label="kick")
    assert_type(dictionary, audiosep.Dictionary)
    audiosep.save_dictionary(dictionary, path.with_suffix(".safetensors"))
    audiosep.write(path, sound, bits=16)
    return audiosep.si_sdr(sound.samples[0], sound.samples[0])


def listening(path: str) -> None:
    told = audiosep.separate(path, examples={"kick": "kick.wav"}, rest="rest")
    if told.onsets is not None:
        assert_type(told.onsets, audiosep.Onsets)
    assert_type(audiosep.read_score("a.mid"), audiosep.Score)
'''

WRONG = {
    'audiosep.separate("a.wav", presett="stems")': "call-arg",
    'audiosep.separate("a.wav", 44100, "stems")': "call-arg",
    'audiosep.separate("a.wav", seed="one")': "arg-type",
    'audiosep.Separator(quality="best")': "arg-type",
    'audiosep.read("a.wav").sample_rate': "attr-defined",
    'audiosep.nmf.factorise("V")': "attr-defined",
    'audiosep.nmf.factorize([[1.0]], 2, activation_penalties=["smooth"])': "list-item",
    "audiosep.stft([0.0, 1.0])": "arg-type",
    'stem: int = audiosep.separate("a.wav").stems["drums"]': "assignment",
    'audiosep.separate("a.wav").stems = {}': "misc",
}


@pytest.fixture(scope="module")
def checked(stranger, tmp_path_factory):
    """What ``mypy --strict`` says of a right program and of a wrong one, line by line."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "right.py").write_text(PROGRAM)
    (folder / "wrong.py").write_text("\n".join(["import audiosep", "", *WRONG]) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(stranger)]
    quick = ["--config-file=", f"--cache-dir={folder / 'cache'}", "--no-error-summary"]
    done = subprocess.run(
        [*command, *quick, "right.py", "wrong.py"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    found = {"right.py": {}, "wrong.py": {}}
    for line in done.stdout.splitlines():
        match = re.fullmatch(r"(\w+\.py):(\d+): error: .*\[([\w-]+)\]", line)
        if match:
            found[match[1]].setdefault(int(match[2]), set()).add(match[3])
    return found, done.stdout


@pytest.mark.timeout(900)
def test_what_users_write_is_typed_and_what_is_wrong_is_found(checked):
    found, said = checked
    assert found["right.py"] == {}, said
    assert list(found["wrong.py"]) == list(range(3, 3 + len(WRONG))), said
    for line, code in zip(found["wrong.py"].values(), WRONG.values(), strict=True):
        assert code in line, said
