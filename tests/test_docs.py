"""What the documentation shows works as shown."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import stores
import studios

import audiosep
from audiosep import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(audiosep.__path__, "audiosep.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_some_docstrings_have_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = [importlib.import_module(name) for name in MODULES]
    assert sum(bool(test.examples) for m in modules for test in finder.find(m)) >= 3


def test_python_in_the_readme(tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "'drums': (1, 226" in capsys.readouterr().out
    assert (tmp_path / "separated/band/audiosep.json").is_file()


def test_links_of_the_documents_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_option_is_documented():
    from typer.main import get_command

    from audiosep.cli.app import app

    split = get_command(app).commands["split"]
    options = [max(p.opts, key=len) for p in split.params if p.opts[0].startswith("-")]
    assert len(options) > 15
    short = {"--out": "-o", "--sources": "-n", "--quiet": "-q", "--verbose": "-v"}
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    for option in options:
        assert short.get(option, option) in page, option


def commands():
    """The ``audiosep ...`` lines of the code blocks of each page, in order."""
    found = {}
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for block in re.findall(r"```\w*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                if line.startswith("audiosep "):
                    found.setdefault(page.name, {})[line.split("#")[0].strip()] = None
    return {page: list(lines) for page, lines in found.items()}


COMMANDS = commands()


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """A folder with the files that the documents speak of."""
    folder = tmp_path_factory.mktemp("studio")
    (folder / "examples").symlink_to(ROOT / "examples")
    tapes = folder / "tapes"
    tapes.mkdir()
    audio = ROOT / "examples" / "audio"
    for item, name in {
        "band": "mix.wav",
        "song": "song.wav",
        "drum_loop": "loop.wav",
        "speech_printer": "tapes/tape.wav",
        "bach_trio": "more.flac",
    }.items():
        samples, sr = soundfile.read(audio / item / "mixture.flac", dtype="int16")
        soundfile.write(folder / name, samples, sr)
    loop = audio / "drum_loop"
    for piece in ("kick", "snare", "hihat"):
        samples, sr = soundfile.read(loop / f"ref_{piece}.flac", dtype="int16")
        soundfile.write(folder / f"{piece}.wav", samples[: 2 * sr], sr)
    for source, names in {
        "mixture": ("field", "interview"),
        "ref_speech": ("dog", "talker"),
        "ref_noise": ("rain", "room"),
    }.items():
        samples, sr = soundfile.read(audio / "speech_printer" / f"{source}.flac", dtype="int16")
        for name in names:
            soundfile.write(folder / f"{name}.wav", samples[: 4 * sr], sr)
    trio = {path.stem: soundfile.read(path) for path in (audio / "bach_trio").glob("ref_*.flac")}
    gains = zip((0.9, 0.5, 0.1), sorted(trio), strict=True)
    wide = sum(np.outer(trio[name][0], (gain, 1 - gain)) for gain, name in gains)
    soundfile.write(folder / "wide.wav", wide, trio["ref_cello"][1])
    samples, sr = soundfile.read(audio / "bach_trio" / "mixture.flac", dtype="int16")
    soundfile.write(folder / "trio.wav", samples, sr)
    shutil.copy(audio / "bach_trio" / "score.mid", folder / "trio.mid")
    (folder / "list.csv").write_text("input,preset\nmix.wav,stems\ntapes/tape.wav,speech\n")
    references = folder / "references"
    references.mkdir()
    for source in ("vocals", "drums", "bass"):
        shutil.copy(audio / "song" / f"ref_{source}.flac", references / f"{source}.flac")
    shutil.copy(audio / "song" / "ref_chords.flac", references / "other.flac")
    sounds = [audiosep.read(folder / f"{piece}.wav") for piece in ("kick", "snare")]
    kit = [audiosep.learn([s], label=n) for s, n in zip(sounds, ("kick", "snare"), strict=True)]
    audiosep.save_dictionary(audiosep.merge_dictionaries(tuple(kit)), folder / "kit.safetensors")
    result = audiosep.separate(folder / "song.wav", preset="four-stems")
    result.save(folder / "separated" / "song")
    return folder


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Short trainings: here commands have to work; how well is measured in test_quality.py."""
    from audiosep.methods import _examples_dnmf, _examples_local, _examples_masks, _speech_share

    monkeypatch.setattr(_examples_masks, "CORRECTION_FRAMES", 1280)
    monkeypatch.setattr(_examples_masks, "LOCAL_FRAMES", 1280)
    monkeypatch.setattr(_examples_masks, "DICTIONARY_FRAMES", 1280)
    monkeypatch.setattr(_examples_local, "N_PLACES", 20_000)
    monkeypatch.setattr(_examples_dnmf, "STEPS", 20)
    monkeypatch.setattr(_speech_share, "N_MIXTURES", 10)
    monkeypatch.setattr(_speech_share, "PLACES", 3000)


@pytest.fixture
def archive(studio, tmp_path, monkeypatch):
    """The bucket ``archive`` that the documents speak of, in a store on this computer."""
    with stores.s3_server(tmp_path / "log") as address:
        for name, value in stores.s3_environment(address).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        store = stores.new_store()
        store.mkdir("archive")
        for name in ("mix.wav", "list.csv", "tapes/tape.wav"):
            store.put_file(str(studio / name), f"archive/{name}")
        yield


@pytest.mark.docs
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", COMMANDS)
def test_commands_of_the_documents(page, studio, tmp_path, monkeypatch, capsys, request):
    # Each page begins anew: what others made must neither help nor be in its way.
    studio = shutil.copytree(studio, tmp_path / "studio", symlinks=True)
    monkeypatch.chdir(studio)
    if any("s3://" in command for command in COMMANDS[page]):
        request.getfixturevalue("archive")
    for command in COMMANDS[page]:  # each builds on those before it
        if command.startswith("audiosep studio"):  # until somebody ends it
            _open_studio(studio, shlex.split(command)[2:])
            continue
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == 0, f"{command}\n{said.err}"
        assert said.out, command


def _open_studio(folder, arguments):
    if reason := studios.why_no_studio():
        pytest.skip(reason)
    with studios.studio(folder, *arguments) as one:
        state = one.until(lambda state: state["open"] or state["recording"])
        assert state["problem"]["text"] == ""
        assert one.end() == 0


PAGES = [
    page
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if "```python\n" in page.read_text(encoding="utf-8")
]


@pytest.mark.docs
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_of_the_documents(page, studio, monkeypatch):
    monkeypatch.chdir(studio)
    known = {}  # the blocks of a page follow each other
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, page.name, "exec"), known)


def test_commands_are_found():
    assert len(PAGES) >= 5
    assert sum(map(len, COMMANDS.values())) >= 40
