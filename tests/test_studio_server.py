"""The studio over plain HTTP: who is let in, what is refused, and that nothing is lost."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import sys
import time

import files
import numpy as np
import pytest
from reports import edited, inside
from studios import NUMBERS, SECONDS, SR, mixed, needs_studio, studio

from audiosep.dictionary_files import load_dictionary
from audiosep.errors import UsageError
from audiosep.studio.changes import do
from audiosep.studio.folders import Places
from audiosep.studio.session import Session
from audiosep.studio.view import state_of
from audiosep.verification import verify

pytestmark = needs_studio


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    """A folder of stems of tones."""
    return mixed(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def running(tmp_path_factory, stems):
    """A studio in which these stems are open; tests leave them so."""
    home = tmp_path_factory.mktemp("home")
    with studio(home, stems) as one:
        one.home = home
        one.until(lambda state: state["open"] and state["open"]["drawing"])
        yield one


@pytest.fixture
def opened(running):
    """It with nothing but the opened stems."""
    while running.state()["open"]["at"] > 0:
        assert running.do("undo")[0] == 200
    return running


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A studio that was started with nothing."""
    home = tmp_path_factory.mktemp("empty")
    with studio(home) as one:
        one.home = home
        yield one


# --- who is let in ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/api/state", "/assets/studio.js", "/sound/1/0/0/0", "/nowhere"]
)
def test_nobody_without_the_word(opened, path):
    for token in ("", "wrong", opened.token[:-1]):
        code, said = opened.ask(path, token=token)
        assert code == 403
        assert b"open the one that 'audiosep studio' printed" in said


def test_the_word_in_the_address_becomes_a_cookie(opened):
    connection = http.client.HTTPConnection(opened.host)
    connection.request("GET", f"/?token={opened.token}")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    connection.close()
    code, page = opened.ask("/", token="", Cookie=cookie.split(";")[0])
    assert code == 200
    assert b"audiosep studio" in page
    assert opened.token.encode() not in page


def test_cookies_of_other_servers_do_not_hide_ours(opened):
    port = opened.host.split(":")[1]
    own = f"audiosep-studio-{port}={opened.token}"
    for cookies in (f'a={{"x":1}}; {own}', f"a=[1,2]; b; {own}; c=d e", own):
        assert opened.ask("/api/state", token="", Cookie=cookies)[0] == 200, cookies
    assert opened.ask("/api/state", token="", Cookie=f"{own}x")[0] == 403


@pytest.mark.parametrize("host", ["localhost.evil.org", "192.168.0.1", "127.0.0.1", "[::1]"])
def test_no_other_host(opened, host):
    port = opened.host.split(":")[1]
    for name in (host, f"{host}:{port}"):
        if name == opened.host:
            continue
        code, said = opened.ask("/api/state", Host=name)
        assert code == 403
        assert b"only under the address" in said
    assert opened.ask("/api/state", Host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.org"},
        {"Origin": "null"},
        {"Origin": None},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_no_other_page(opened, headers):
    before = opened.state()["version"]
    data = json.dumps({"version": before}).encode()
    code, said = opened.ask("/api/do/close", method="POST", data=data, **headers)
    assert code == 403
    assert b"page asked for this" in said
    assert opened.state()["version"] == before


def test_what_every_answer_forbids(opened):
    connection = http.client.HTTPConnection(opened.host)
    for path, headers in (("/", {"X-Audiosep-Token": opened.token}), ("/", {})):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers
        if answer.headers.get("connection") == "close":
            connection.close()
    connection.close()


def test_it_listens_on_this_computer_only(opened):
    port = int(opened.host.split(":")[1])
    own = socket.gethostbyname(socket.gethostname())
    if own.startswith("127.0.0.1"):
        own = "127.0.0.2"  # another address of the same computer
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        socket.create_connection((own, port), timeout=2).close()


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../server.py",
        "/assets/..%2fserver.py",
        "/assets/%2e%2e/%2e%2e/errors.py",
        "/assets/",
        "/assets",
        "/assets//etc/passwd",
        "/etc/passwd",
        "/sound/../../etc/passwd",
        "/sound/1/0/0/0/../../x",
    ],
)
def test_nothing_but_its_own_files(opened, path):
    connection = http.client.HTTPConnection(opened.host)
    connection.request("GET", path, headers={"X-Audiosep-Token": opened.token})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 404
    assert len(content) < 100


@pytest.mark.parametrize(
    "path",
    [
        "/sound/1/0/0/99",
        "/sound/1/9/0/0",
        "/sound/77/0/0/0",
        "/sound/component/1/99/0",
        "/sound/component/1/0/0",
        "/sound/component/5/1/0",
        "/picture/1/99",
        "/picture/99/mixture",
        "/picture/1/..",
        "/api/components/99",
    ],
)
def test_sounds_and_pictures_that_are_not_there(opened, path):
    code, said = opened.ask(path)
    assert code == 422
    assert "load the page again" in json.loads(said)["problem"]


def test_large_uploads_are_refused_before_they_are_read(empty):
    with socket.create_connection(tuple(empty.host.split(":")), timeout=10) as line:
        version = empty.state()["version"]
        line.sendall(
            f"PUT /api/upload?name=huge.wav&version={version} HTTP/1.1\r\nHost: {empty.host}\r\n"
            f"X-Audiosep-Token: {empty.token}\r\nOrigin: http://{empty.host}\r\n"
            "Content-Length: 5000000000\r\n\r\n".encode()
        )
        answer = b""
        while part := line.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Huge.wav has 5.0 GB, and the studio takes 2 GB at most" in answer
    assert empty.ask("/api/upload", method="PUT", data=b"", Content_Length="x")[0] == 400
    assert json.loads(empty.ask("/api/state")[1])["mostUpload"] == 2_000_000_000


def test_requests_that_make_no_sense(opened):
    version = opened.state()["version"]

    def asked(name, data):
        return opened.ask(f"/api/do/{name}", method="POST", data=data)

    for data in (b"", b"[]", b"{", b"\xff", b"[" * 100_000):
        code, said = asked("undo", data)
        assert (code, "cannot be understood" in said.decode()) == (400, True)
    assert asked("undo", b"x" * 1_000_001)[0] == 413
    assert opened.do("dance")[0] == 400
    for name, given in {
        "move": {"component": "1", "to": "high"},
        "merge": {"into": 3, "stem": None},
        "rename": {"stem": "low", "name": ""},
        "paint": {"regions": []},
        "split": {"preset": "auto"},
        "learn": {"stem": "nobody", "file": "x.safetensors"},
        "undo": {},
        "redo": {},
    }.items():
        code, said = opened.do(name, **given)
        assert code == 400, (name, said)
        assert said["problem"].endswith("."), said
    assert opened.ask("/api/state?since=x")[0] == 400
    assert opened.state()["version"] == version


def test_stale_requests_change_nothing(opened, stems):
    code, _ = opened.do("move", component=NUMBERS[1000], to="high")
    assert code == 200
    before = opened.state()
    code, said = opened.do("undo", version=before["version"] - 1)
    assert code == 409
    assert "in another window perhaps" in said["problem"]
    assert opened.state()["version"] == before["version"]
    assert opened.do("cancel", job=999)[0] == 409


def test_an_upload_that_comes_too_late_changes_nothing(opened, tmp_path):
    content = files.write_sound(tmp_path / "late.wav", files.noise()).read_bytes()
    with socket.create_connection(tuple(opened.host.split(":")), timeout=10) as line:
        line.sendall(
            f"PUT /api/upload?name=late.wav&version={opened.state()['version']} HTTP/1.1\r\n"
            f"Host: {opened.host}\r\nX-Audiosep-Token: {opened.token}\r\nConnection: close\r\n"
            f"Origin: http://{opened.host}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        )
        line.sendall(content[:100])
        while not list(opened.temporary.rglob("uploads/*")):
            time.sleep(0.01)
        assert opened.do("rename", stem="low", name="bass")[0] == 200  # in another window
        line.sendall(content[100:])
        answer = b""
        while part := line.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 409 ")
    assert b"in another window perhaps" in answer
    assert names(opened) == ["bass", "high"]
    assert not list(opened.temporary.rglob("uploads/*"))


# --- what is heard before and after it is written -----------------------------------------------


def test_what_is_heard_at_once_is_what_will_be_written(opened, stems):
    low, high = files.sounds(stems / "low.wav")[0], files.sounds(stems / "high.wav")[0]
    np.testing.assert_array_equal(opened.stem("low"), low)
    # At once, and one on top of the other: none of it is on the disk yet.
    for change, asked in (
        ("move", {"component": NUMBERS[1000], "to": "high"}),
        ("rename", {"stem": "low", "name": "bass"}),
        ("move", {"component": NUMBERS[440], "to": "extra"}),
    ):
        assert opened.do(change, **asked)[0] == 200
    named = ["extra", "high"] if "bass" not in names(opened) else names(opened)
    assert sorted(names(opened)) == sorted(named)
    at_once = {name: opened.stem(name) for name in names(opened)}
    np.testing.assert_allclose(sum(at_once.values()), low + high, atol=3e-4)
    assert opened.do("save", folder="together")[0] == 200
    opened.until(lambda _: (opened.home / "together" / "audiosep.json").exists())
    for name, heard in at_once.items():
        written = files.sounds(opened.home / "together" / f"{name}.wav")[0]
        np.testing.assert_allclose(heard, written, atol=3 / 2**15)
        np.testing.assert_allclose(opened.stem(name), written, atol=3 / 2**15)
    tone = np.abs(np.fft.rfft(at_once["high"]))
    assert tone[round(1000 * SECONDS)] > 100 * np.median(tone)
    shutil.rmtree(opened.home / "together")


def names(one):
    return [stem["name"] for stem in one.state()["open"]["stems"]]


def test_merged_stems_and_components_are_heard(opened, stems):
    low, high = opened.stem("low"), opened.stem("high")
    parts = [opened.sound(f"component/1/{number}") for number in NUMBERS.values()]
    np.testing.assert_allclose(sum(parts), low + high, atol=1e-3)
    assert opened.do("merge", stem="high", into="low")[0] == 200
    assert names(opened) == ["low"]
    np.testing.assert_allclose(opened.stem("low"), low + high, atol=1e-4)
    assert opened.do("undo")[0] == 200
    np.testing.assert_array_equal(opened.stem("low"), low)


# --- saving -------------------------------------------------------------------------------------


def test_saved_stems_are_whole_and_replace_nothing_unasked(opened, stems):
    place = opened.home / "kept"
    assert opened.do("move", component=NUMBERS[1000], to="high")[0] == 200
    assert opened.state()["open"]["unsaved"]
    assert opened.do("save", folder="kept")[0] == 200
    state = opened.until(lambda one: "kept" in one["notice"]["text"])
    assert not state["open"]["unsaved"]
    assert verify(place).problems == ()
    assert not list(opened.home.glob(".audiosep-*"))
    first = files.tree(place)
    assert {"audiosep.json", "project.json", "factorization.safetensors"} < set(first)
    # Once more: refused, and then asked for.
    number = state["problem"]["number"]
    opened.do("save", folder="kept")
    state = opened.until(lambda one: one["problem"]["number"] > number)
    assert "holds stems already; choose to replace them" in state["problem"]["text"]
    assert files.tree(place) == first
    number = state["notice"]["number"]
    assert opened.do("rename", stem="low", name="bass")[0] == 200
    opened.do("save", folder="kept", replace=True)
    opened.until(lambda one: one["notice"]["number"] > number)
    assert sorted(path.stem for path in place.glob("*.wav")) == ["bass", "high"]
    assert verify(place).problems == ()
    # Temporary folders of the studio are gone tomorrow: what it was made of is the recording.
    record = json.loads((place / "audiosep.json").read_text())
    assert record["settings"]["regrouped"]["from"] == record["input"]["path"]


def test_folders_of_others_are_never_touched(opened):
    foreign = opened.home / "foreign"
    foreign.mkdir()
    (foreign / "low.wav").write_text("mine")
    number = opened.state()["problem"]["number"]
    opened.do("save", folder="foreign", replace=True)
    state = opened.until(lambda one: one["problem"]["number"] > number)
    assert "holds no stems by audiosep" in state["problem"]["text"]
    assert files.tree(foreign) == {"low.wav": b"mine"}


@pytest.mark.parametrize("folder", ["/", "../x", "/etc/audiosep", "a/../../x", ""])
def test_nothing_is_written_elsewhere(opened, folder):
    before = sorted(opened.home.parent.iterdir())
    for name, asked in (
        ("save", {"folder": folder}),
        ("learn", {"stem": "low", "file": f"{folder}/x.safetensors"}),
    ):
        code, said = opened.do(name, **asked)
        if name == "learn" and folder in ("", "/"):
            assert code == 409
            continue
        assert code == 409
        assert "outside" in said["problem"] or "No folder is named" in said["problem"]
    assert sorted(opened.home.parent.iterdir()) == before


def test_dictionaries_are_learnt(opened):
    code, said = opened.do("learn", stem="high", file="high.txt")
    assert (code, ".safetensors" in said["problem"]) == (400, True)
    assert opened.do("learn", stem="high", file="high.safetensors")[0] == 200
    opened.until(lambda one: "holds what high sounds like" in one["notice"]["text"])
    assert load_dictionary(opened.home / "high.safetensors").sources == ("high",)
    assert opened.do("learn", stem="high", file="high.safetensors")[0] == 409


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("notes.txt", b"no sound at all", "Notes.txt is not audio that can be read"),
        ("empty.wav", b"", "Empty.wav is empty (0 bytes)"),
        ("cut.wav", b"RIFF\x24\0\0\0WAVEfmt ", "Cut.wav has a damaged header"),
        ("<img src=x onerror=alert(1)>.mp3", b"x", "<img src=x onerror=alert(1)>.mp3 is not audio"),
        ("../../up.wav", b"no", "Up.wav is not audio"),
        ("a\u202egpj\n.wav", b"no", "A\\u202egpj\\n.wav is not audio"),
    ],
)
def test_files_that_are_no_recordings(empty, name, content, sentence):
    before = empty.state()["version"]
    code, said = empty.upload(name, content)
    assert code == 422
    assert said["problem"].startswith(sentence)
    assert empty.state()["version"] == before
    assert not list(empty.temporary.rglob("uploads/*"))


def test_recordings_without_sound(empty, tmp_path):
    nothing = files.write_sound(tmp_path / "nothing.wav", np.zeros((1, 0), np.float32))
    code, said = empty.upload("nothing.wav", nothing.read_bytes())
    assert code == 422
    assert said["problem"] == "Nothing.wav holds no sound (0 s); choose another recording."


def wrong_folders(place, target):
    bare = target / "bare"
    bare.mkdir()
    (bare / "low.wav").write_bytes((place / "low.wav").read_bytes())
    yield bare, "holds no finished separation"
    other = edited(place, target / "other", lambda record: record.update(audiosep="99", stems=[]))
    yield other, "was written by audiosep 99, and cannot be understood"
    missing = edited(place, target / "missing", lambda record: None)
    (missing / "high.wav").unlink()
    yield missing, "high.wav is missing"
    changed = edited(place, target / "changed", lambda record: None)
    files.write_sound(changed / "high.wav", files.noise(n_channels=1), SR)
    yield changed, "high.wav is damaged or edited since it was written"
    (target / "words.wav").write_text("words")
    yield target / "words.wav", "Words.wav is not audio that can be read"


@pytest.fixture
def session(tmp_path):
    """A session whose work is not begun."""
    work = tmp_path / "work"
    work.mkdir()
    one = Session(work, Places(roots=(tmp_path,)))
    yield one
    one.close()


def test_what_cannot_be_opened_is_told(stems, tmp_path, session):
    for path, sentence in wrong_folders(stems, tmp_path):
        before = files.tree(path) if path.is_dir() else None
        session.open(path)
        state = state_of(session)
        assert sentence in state["problem"]["text"]
        assert state["open"] is None
        assert before is None or files.tree(path) == before


def test_stems_whose_components_are_not_theirs_can_be_heard(stems, tmp_path, session):
    shutil.copytree(stems, tmp_path / "mix")
    (tmp_path / "mix" / "factorization.safetensors").write_bytes(b"x" * 100)
    session.open(tmp_path / "mix")
    state = state_of(session)
    assert "The components cannot be used" in state["problem"]["text"]
    assert state["open"]["root"] is None
    low = session.mixer.stem(session.history, state["open"]["step"], 0, 0)
    assert low.shape == (1, 4 * SR)
    with pytest.raises(UsageError, match="no components that could be moved"):
        do(session, "move", {"component": 1, "to": "high", "version": session.version})


# --- separating, cancelling, ending -------------------------------------------------------------


def long_recording(folder):
    return files.write_sound(folder / "long.wav", files.noise(60 * 22050, 2), 22050)


def test_work_is_watched_cancelled_and_left_without_a_trace(empty, tmp_path):
    long = long_recording(tmp_path)
    assert empty.upload("long.wav", long.read_bytes())[0] == 200
    assert empty.do("split", preset="score")[0] == 400
    assert empty.do("split", preset="components", n_sources=0)[0] == 400
    code, _ = empty.do("split", preset="components", n_sources=2)
    assert code == 200
    state = empty.until(lambda one: one["job"] and one["job"]["fraction"] > 0.02)
    assert state["job"]["words"] == "Separating long.wav"
    # Nothing else meanwhile.
    code, said = empty.do("split", preset="vocals")
    assert code == 409
    assert "cancel it first" in said["problem"]
    began = time.monotonic()
    assert empty.do("cancel", job=state["job"]["number"])[0] == 200
    state = empty.until(lambda one: one["job"] is None)
    assert time.monotonic() - began < 10
    empty.until(lambda one: one["notice"]["text"] == "Cancelled. Nothing has changed.")
    (work,) = empty.temporary.glob(".audiosep.task-*")
    assert list((work / "steps").iterdir()) == []
    # And then it works as if nothing had been.
    short = files.write_sound(tmp_path / "short.wav", files.noise(8000, 1), 8000)
    assert empty.upload("short.wav", short.read_bytes())[0] == 200
    assert empty.do("split", preset="components", n_sources=2)[0] == 200
    state = empty.until(lambda one: one["open"])
    assert len(state["open"]["stems"]) == 2
    total = sum(empty.stem(stem["name"]) for stem in state["open"]["stems"])
    np.testing.assert_allclose(total, files.sounds(short)[0], atol=1e-4)
    assert empty.do("close")[0] == 200
    assert empty.state()["open"] is None


def test_ends_in_the_middle_of_its_work(tmp_path):
    long_recording(tmp_path)
    with studio(tmp_path, "long.wav") as one:
        one.until(lambda state: state["recording"])
        assert one.do("split", preset="components", n_sources=2)[0] == 200
        one.until(lambda state: state["job"] and state["job"]["fraction"] > 0)
        assert one.left()
        assert one.end() == 0
        assert one.left() == []
        assert "what was not saved is gone" in one.process.stderr.read()
    assert files.leftovers(tmp_path) == []


def test_a_folder_without_record_and_what_a_killed_one_left(tmp_path):
    (tmp_path / "bare").mkdir()
    with studio(tmp_path, "bare") as one:
        state = one.until(lambda state: state["problem"]["number"])
        assert "Bare holds no finished separation" in state["problem"]["text"]
        # It can go on with something else.
        source = files.write_sound(tmp_path / "mix.wav", files.noise())
        assert one.upload("x.wav", source.read_bytes())[0] == 200
        one.process.kill()
        one.process.wait(10)
        (left,) = one.left()
    with studio(tmp_path) as one:
        (now,) = one.left()
        assert now != left
        assert one.end(signal.SIGTERM) == 143
        assert one.left() == []


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch, capsys):
    return inside(monkeypatch, capsys)


def test_what_does_not_exist_is_told_at_once(tmp_path, run):
    done = run("studio", tmp_path / "none.wav", "--no-browser")
    assert done.code == 3
    assert done.err.endswith("none.wav does not exist; check the name.\n")
    assert done.out == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xd8\xff\xe0" * 99, "is not audio that can be read: it is a JPEG picture; if a "),
        (b"", "is empty (0 bytes)"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "has a damaged header"),
    ],
    ids=["picture", "empty", "cut"],
)
def test_what_is_no_recording_is_told_at_once(tmp_path, run, content, words):
    (tmp_path / "x.wav").write_bytes(content)
    done = run("studio", tmp_path / "x.wav", "--no-browser")
    assert (done.code, done.out) == (3, "")
    assert f"x.wav {words}" in done.err


def test_a_port_that_is_taken(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("studio", "--port", port, "--no-browser")
    assert done.code == 4
    assert f"port {port} cannot be used" in done.err


@pytest.mark.parametrize("missing", ["uvicorn", "starlette"])
def test_without_the_extra_it_says_which(run, monkeypatch, missing):
    for name in [*sys.modules]:
        if name.startswith(("audiosep.studio.server", f"{missing}.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    done = run("studio", "--no-browser")
    assert done.code == 2
    assert 'pip install "audiosep[studio]"' in done.err
