"""What data can never do: run code, open connections, leave its folder, fill the memory."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import os
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import files
import mido
import numpy as np
import pytest
from safetensors.numpy import save_file

from audiosep.errors import InputError
from audiosep.io.score_files import read_parts
from audiosep.io.tables import read_activations

PACKAGE = Path(__file__).resolve().parent.parent / "audiosep"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Between processes that we started ourselves, through pipes that nobody else holds; and from a
# scheduler of Dask, whom a worker obeys in any case (docs/security.md).
MAY_PICKLE = {"cli/processes.py", "cli/cluster.py", "cli/cluster_worker.py"}
RUNS_CODE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "code", "pty"}
STARTS_PROGRAMS = {"subprocess", "popen2", "commands"}
READS_XML_UNSAFELY = {"xml.dom", "xml.sax", "xml.dom.minidom", "xml.sax.handler", "lxml"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
OF_THE_SYSTEM = {
    "system",
    "popen",
    "execv",
    "execve",
    "execvp",
    "execl",
    "spawnv",
    "spawnl",
    "fork",
}


def inside(path):
    return path.relative_to(PACKAGE).as_posix()


@cache
def nodes_of(path):
    """Imports and calls of a file."""
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in tree if isinstance(node, ast.Import | ast.ImportFrom | ast.Call)]


def modules_of(path):
    """Everything that a file imports, wherever in it."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls_of(path):
    """Each call: what it is called, as it is written, and the node."""
    for node in nodes_of(path):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_there_is_something_to_look_at():
    assert len(SOURCES) > 100
    assert any(name == "numpy" for path in SOURCES for name in modules_of(path))


def test_nothing_that_runs_what_it_reads():
    found = {
        inside(p) for p in SOURCES for name in modules_of(p) if name.split(".")[0] in RUNS_CODE
    }
    assert found == MAY_PICKLE
    for path in SOURCES:
        for name, node in calls_of(path):
            assert name not in BUILTINS, f"{inside(path)}:{node.lineno}"


def test_no_program_and_no_shell_is_started():
    for path in SOURCES:
        assert not STARTS_PROGRAMS & {name.split(".")[0] for name in modules_of(path)}, path
        for name, node in calls_of(path):
            module, _, function = name.rpartition(".")
            assert not (module == "os" and function in OF_THE_SYSTEM), f"{path}:{node.lineno}"


def test_arrays_are_read_as_numbers_only():
    n_found = 0
    for path in SOURCES:
        for name, node in calls_of(path):
            if name in ("np.load", "numpy.load"):
                n_found += 1
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert given.get("allow_pickle") == "False", f"{path}:{node.lineno}"
            assert name not in ("np.fromregex", "np.memmap", "numpy.memmap"), path
    assert n_found


def test_xml_is_read_by_one_module_that_refuses_entities():
    readers = {
        inside(p) for p in SOURCES for name in modules_of(p) if name.startswith("xml.parsers")
    }
    assert readers == {"io/score_musicxml.py"}
    for path in SOURCES:
        assert not READS_XML_UNSAFELY & set(modules_of(path)), path
        for name, node in calls_of(path):
            assert name.rpartition(".")[2] not in ("iterparse", "XMLParser"), (
                f"{path}:{node.lineno}"
            )


# --- files that want more than to be read -------------------------------------------------------

LAUGHS = "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "ha">' for n in range(10)
)
SCORE = (
    '<?xml version="1.0"?>{doctype}<score-partwise><part-list><score-part id="P1"><part-name>'
    "{name}</part-name></score-part></part-list></score-partwise>"
)
ENTITIES = {
    "a billion laughs": (f"<!DOCTYPE s [{LAUGHS}]>", "&l9;"),
    "one long text many times": (f'<!DOCTYPE s [<!ENTITY a "{"x" * 10**5}">]>', "&a;" * 10**4),
    "a file of this computer": ('<!DOCTYPE s [<!ENTITY a SYSTEM "file://{secret}">]>', "&a;"),
    "an address": ('<!DOCTYPE s [<!ENTITY a SYSTEM "http://127.0.0.1:9/a">]>', "&a;"),
    "a parameter": ('<!DOCTYPE s [<!ENTITY % a SYSTEM "file://{secret}"> %a;]>', "x"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("kind", ENTITIES)
def test_entities_are_not_followed(tmp_path, kind, packed, peak):
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    doctype, name = ENTITIES[kind]
    text = SCORE.format(doctype=doctype.replace("{secret}", str(secret)), name=name)
    path = tmp_path / "score"
    if packed:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("score.xml", text)
    else:
        path.write_text(text)
    with pytest.raises(InputError, match="entities") as raised, peak(20):
        read_parts(path)
    assert "secret" not in str(raised.value).replace(str(path), "")


def test_a_document_type_elsewhere_is_not_fetched(tmp_path):
    """It stands at the top of every MusicXML file, so it may be there; nobody looks at it."""
    text = SCORE.format(doctype='<!DOCTYPE s SYSTEM "http://127.0.0.1:9/a.dtd">', name="x")
    (tmp_path / "score").write_text(text)
    with pytest.raises(InputError, match="there is no note in it"):
        read_parts(tmp_path / "score")


@pytest.fixture
def peak():
    """Give a context in which no more than so many MB may be taken by Python and NumPy."""
    import tracemalloc
    from contextlib import contextmanager

    @contextmanager
    def within(megabytes):
        tracemalloc.start()
        try:
            yield
        finally:
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert most < megabytes * 2**20

    return within


ZEROS = bytes(2**20)


def packed_zeros(path, name, megabytes, head=b""):
    """An archive of little size with a member of very much."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        member.write(head)
        for _ in range(megabytes):
            member.write(ZEROS)
    return path


def test_scores_that_swell_are_not_swallowed(tmp_path, peak):
    path = packed_zeros(tmp_path / "a.mxl", "score.xml", 200, b"<score-partwise>")
    assert path.stat().st_size < 2**20
    with pytest.raises(InputError, match="more than 64 MB"), peak(140):
        read_parts(path)


def npy_head(shape):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return head.getvalue()


def test_tables_that_swell_are_not_swallowed(tmp_path, peak):
    path = packed_zeros(tmp_path / "a.npz", "activations.npy", 200, npy_head((2, 10)))
    with pytest.raises(InputError, match="more than 2 x 10"), peak(20):
        read_activations(path, ("a", "b"), 10)


@pytest.mark.parametrize("shape", [(2**20, 2**20), (2**62,), (2, 2**40)])
def test_tables_that_promise_more_than_there_is(tmp_path, shape, peak):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("activations.npy", npy_head(shape) + bytes(160))
    with pytest.raises(InputError, match="damaged"), peak(20):
        read_activations(path, ("a", "b"), 10)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_tables_of_objects_run_nothing(tmp_path):
    sprung = tmp_path / "sprung"
    np.savez(tmp_path / "a.npz", activations=np.array([[Trap(sprung)] * 10] * 2, dtype=object))
    np.load(tmp_path / "a.npz", allow_pickle=True)["activations"]
    assert sprung.exists()  # it is a trap
    sprung.unlink()
    with pytest.raises(InputError, match="no array of numbers"):
        read_activations(tmp_path / "a.npz", ("a", "b"), 10)
    assert not sprung.exists()


# --- names that want out ------------------------------------------------------------------------

NAMES = ("../out-of-it", "/tmp/out-of-it", "a/b", "..", "C:\\x", "\x1b[31mred", "$(touch x)", "<b>")


def test_names_in_scores_stay_names(tmp_path):
    """Tracks of any name become stems within the folder, or a sentence."""
    files.write_sound(tmp_path / "mix.wav")
    file = mido.MidiFile(ticks_per_beat=480, charset="utf-8")
    for n, name in enumerate(NAMES):
        on, off = (
            mido.Message(kind, note=60 + n, time=t)
            for kind, t in (("note_on", 0), ("note_off", 99))
        )
        file.tracks.append(mido.MidiTrack([mido.MetaMessage("track_name", name=name), on, off]))
    file.save(tmp_path / "a.mid")
    before = files.tree(tmp_path)
    arguments = (
        "--score",
        str(tmp_path / "a.mid"),
        "--iterations",
        "2",
        "-o",
        str(tmp_path / "out"),
    )
    done = files.audiosep("split", str(tmp_path / "mix.wav"), *arguments, "--json")
    entry = json.loads(done.out)
    assert done.code == 0, entry["error"]
    after = {n: content for n, content in files.tree(tmp_path).items() if not n.startswith("out/")}
    assert after == before
    assert len(entry["stems"]) >= len(NAMES)
    for path in entry["stems"].values():
        assert Path(path).parent == tmp_path / "out" / "mix"
        assert Path(path).name.isprintable()


def test_words_of_hostile_files_cannot_steer_a_terminal(tmp_path):
    """What a file says of itself is in an error, and an error goes to a terminal."""
    from audiosep.dictionary_files import load_dictionary
    from audiosep.errors import DictionaryError

    description = {"version": "\x1b]0;owned\x07\x1b[2J", "labels": ["a"], "provenance": ""}
    arrays = {"templates": np.ones((3, 1), np.float16), "frequencies_hz": np.arange(3.0)}
    metadata = {"audiosep_dictionary": json.dumps(description)}
    save_file(arrays, tmp_path / "a", metadata=metadata)
    with pytest.raises(DictionaryError) as raised:
        load_dictionary(tmp_path / "a")
    assert str(raised.value).isprintable()


# --- connections --------------------------------------------------------------------------------

GUARD = """
import sys

def refuse(event, arguments):
    if event.startswith("socket.") and event.partition(".")[2] in (
        "connect", "bind", "getaddrinfo", "gethostbyname", "gethostbyaddr", "sendto", "sendmsg"
    ):
        raise PermissionError(f"{event} {arguments!r}")

sys.addaudithook(refuse)
"""

EACH = """
import json, sys
from audiosep import cli

codes = []
for arguments in json.loads(sys.argv.pop()):
    sys.argv = ["audiosep", *arguments]
    try:
        cli.main()
    except SystemExit as leaving:
        codes.append(leaving.code or 0)
print("codes", json.dumps(codes))
"""


@pytest.fixture
def guarded(tmp_path):
    """Run Python where neither it nor any process that it starts may connect to anything."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    paths = [str(tmp_path / "guard"), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def run(code, *arguments):
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(
            command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240
        )

    return run


def test_the_guard_guards(guarded):
    for code in (
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', "
        "'import socket; socket.getaddrinfo(\"localhost\", 80)'], check=True)",
    ):
        done = guarded(code)
        assert done.returncode != 0
        assert "PermissionError: socket." in done.stderr


def test_no_command_opens_a_connection(guarded, tmp_path):
    (tmp_path / "in").mkdir()
    files.write_sound(tmp_path / "in" / "a.wav")
    files.write_sound(tmp_path / "in" / "b.wav", files.noise(seed=1))
    (tmp_path / "list.csv").write_text("input,seed\nin/a.wav,1\nin/b.wav,2\n")
    commands = [
        ["split", "in/a.wav", *files.SMALL, "--report"],
        ["verify", "separated"],
        ["info", "in/a.wav"],
        ["presets"],
        ["doctor"],
        ["batch", "list.csv", *files.SMALL, "-o", "many", "-j", "2"],
        ["atoms", "in/a.wav", "--components", "3", "--iterations", "2", "-o", "atoms"],
        ["regroup", "atoms/a", "--merge", "1,2", "-o", "other"],
        ["resynthesize", "atoms/a", "--export", "a.csv"],
        ["export", "separated/a", "--to", "labels", "--to", "reaper", "-o", "exported"],
        ["report", "atoms/a"],
        ["learn", "in/b.wav", "-o", "b.safetensors", "--components", "2"],
        ["dict", "show", "b.safetensors"],
        ["match", "b.safetensors", "in/a.wav"],
        ["evaluate", "in/a.wav", "in/b.wav"],
    ]
    done = guarded(EACH, json.dumps(commands))
    assert done.stdout.splitlines()[-1] == f"codes {json.dumps([0] * len(commands))}", done.stderr
    assert "PermissionError" not in done.stderr


# --- what is known of others --------------------------------------------------------------------


@pytest.fixture(scope="module")
def answer():
    """How an answer of pip-audit is understood."""
    path = PACKAGE.parent / "scripts" / "_audit_answer.py"
    spec = importlib.util.spec_from_file_location("_audit_answer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.answer


ASKED = "numpy==2.0.0\nsafe_tensors==0.5\n"


def audited(*found):
    return json.dumps({"dependencies": [*found], "fixes": []})


def known(name, *holes):
    return {"name": name, "version": "1", "vulns": [*holes]}


@pytest.mark.parametrize(
    ("answered", "code", "words"),
    [
        (audited(known("numpy"), known("safe-tensors")), 0, "2 packages have no known hole"),
        (
            audited(known("numpy", {"id": "X-1", "fix_versions": ["2.1"]}), known("safe-tensors")),
            1,
            "numpy: X-1, mended in 2.1",
        ),
        (audited(known("numpy")), 2, "not looked up: safe-tensors"),
        (audited(known("numpy"), {"name": "safe-tensors", "skip_reason": "?"}), 2, "not looked up"),
        (audited(), 2, "not looked up"),
        ("", 2, ""),
        ("[]", 2, ""),
    ],
)
def test_no_answer_is_no_clean_bill(answer, capsys, answered, code, words):
    assert answer(ASKED, answered) == code
    assert words in capsys.readouterr().out
