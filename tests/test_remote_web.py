"""Web servers that fail, addresses with passwords, and what else copies of objects go through."""

from __future__ import annotations

import functools
import http.server
import json
import os
import pickle
import socket
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import files
import pytest
import stores
from containers import write_container
from test_manifest import OPTIONS

from audiosep.cli import remote
from audiosep.cli.addresses import check_addresses
from audiosep.cli.batch import batch_all
from audiosep.cli.batches import BatchOptions
from audiosep.cli.info import info_all
from audiosep.cli.inside import within
from audiosep.cli.split import split_all
from audiosep.cli.talk import Talk
from audiosep.errors import InputError, OutputError, UsageError
from audiosep.io import remote as io_remote
from audiosep.io.remote import UnreachableError
from audiosep.io.scratch import remove_dead_scratch, scratch
from audiosep.io.urls import Url, place_from

SMALL = replace(OPTIONS, preset="components", n_components=3, max_iter=2, n_threads=1)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of one's own, for results, state and temporary files."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers ``/403/x.wav`` with 403, and so on."""

    def do_GET(self):
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *arguments):
        pass


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextmanager
def web_server(handler, port=0):
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def answers(here):
    with web_server(Answers) as port:
        yield f"127.0.0.1:{port}"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


# Web servers


@pytest.mark.parametrize("status", [404, 410])
def test_what_a_web_server_says_is_not_there(answers, status):
    url = Url(f"http://{answers}/{status}/x.wav")
    with pytest.raises(InputError) as raised:
        io_remote.state_of(url)
    assert not isinstance(raised.value, UnreachableError)
    assert str(raised.value) == f"{url} does not exist; check the address."
    assert io_remote.read_text(url) is None


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "may not be used (401 Unauthorized); check the credentials"),
        (403, "may not be used (403 Forbidden); check the credentials"),
        (500, "500 Internal Server Error); run the same command again."),
        (503, "503 Service Unavailable); run the same command again."),
    ],
)
def test_other_answers_say_nothing_of_a_recording(answers, status, words):
    url = Url(f"http://anna:hunter2@{answers}/{status}/x.wav?X-Amz-Signature=beef")
    for ask in (io_remote.state_of, io_remote.listing, io_remote.read_text):
        with pytest.raises(UnreachableError) as raised:
            ask(url)
        text = str(raised.value)
        assert text.startswith(f"http://{answers}/{status}/x.wav ")
        assert words in text
        assert "hunter2" not in text
        assert "beef" not in text


def test_a_web_server_that_is_down_is_tried_again(here, capsys):
    port = free_port()
    address = f"http://127.0.0.1:{port}/take.wav"
    Path("list.csv").write_text(f"input\n{address}\n")
    served = here / "served"
    served.mkdir()
    files.write_sound(served / "take.wav", files.noise(1500, 1))

    def run():
        code = batch_all(
            Path("list.csv"), SMALL, Talk(json_lines=True), BatchOptions(), allow_outside=True
        )
        return int(code), json.loads(capsys.readouterr().out)

    code, entry = run()
    assert (code, entry["status"]) == (3, "failed")
    assert entry["error"].startswith(f"{address} cannot be reached (")
    assert "check the network, and run" in entry["error"]
    said = Path("out/.audiosep/journal.jsonl").read_text()
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["kind"] for line in lines if "status" in line] == ["network"]
    with web_server(functools.partial(Files, directory=served), port):
        code, entry = run()
    assert (code, entry["status"]) == (0, "done")


def test_a_track_of_a_video_behind_an_address(here, capsys):
    pytest.importorskip("av", reason="extra formats")
    served = here / "served"
    served.mkdir()
    tracks = [files.noise(24_000, seed=1), files.noise(48_000, seed=2)]
    write_container(served / "x.mp4", tracks, video=True)
    port = free_port()
    url = Url(f"http://127.0.0.1:{port}/x.mp4")
    with web_server(functools.partial(Files, directory=served), port):
        for check in (False, True):
            assert info_all([url], Talk(json_lines=True), check=check) == 3
            assert "holds 2 audio tracks" in json.loads(capsys.readouterr().out)["error"]
            for stream, duration_s in ((1, 0.5), (2, 1.0)):
                info_all([url], Talk(json_lines=True), check=check, stream=stream)
                entry = json.loads(capsys.readouterr().out)
                assert entry["status"] != "failed"
                assert abs(entry["duration_s"] - duration_s) < 0.05


# What nobody else may see


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("ftp://anna:hunter2@host/a/take.wav", "ftp://host/a/take.wav"),
        ("sftp://anna:hunt@er2@host:22/take?.wav", "sftp://host:22/take?.wav"),
        ("s3://AKIA:hunter2@bucket/take.wav", "s3://bucket/take.wav"),
        ("s3://AKIA:hun/ter2@bucket/take.wav", "s3://bucket/take.wav"),
        ("https://hunter2@host/take.wav", "https://host/take.wav"),
        ("https://anna:hunter?2@host/take.wav?x=hunter2#y", "https://host/take.wav"),
        ("gs://bucket/take.wav?x=1&X-Goog-Signature=hunter2", "gs://bucket/take.wav"),
        ("az://box/take.wav?sv=1&sig=hunter2", "az://box/take.wav"),
        ("abfs://box:hunter2@host/take.wav", "abfs://host/take.wav"),
        # No secrets:
        ("abfs://box@host/take.wav", "abfs://box@host/take.wav"),
        ("s3://bucket/odd?x=1@#2.wav", "s3://bucket/odd?x=1@#2.wav"),
        ("http://[::1]:80/a@b.wav", "http://[::1]:80/a@b.wav"),
        ("http://host:80/a@b.wav", "http://host:80/a@b.wav"),
    ],
)
def test_addresses_are_shown_without_secrets(typed, shown):
    url = Url(typed)
    assert str(url) == shown
    assert repr(url) == f"Url('{shown}')"
    assert url.text == typed
    assert pickle.loads(pickle.dumps(url)).text == typed


def test_passwords_are_in_no_message(here, capsys, monkeypatch):
    for typed in ("learn ftp://u:hunter2@h/x.wav", "split x.wav --score ftp://u:hunter2@h/x.mid"):
        with pytest.raises(UsageError, match="ftp://h/x") as raised:
            check_addresses(typed.split())
        assert "hunter2" not in str(raised.value)
    with pytest.raises(ValueError, match=r"'ftp://h/x\.wav' is a URL;") as refused:
        within(Path("list"), "ftp://u:hunter2@h/x.wav")
    assert "hunter2" not in str(refused.value)
    # Nor in what others say of an address; nor in the journal.
    for name, value in stores.s3_environment(f"http://127.0.0.1:{free_port()}").items():
        monkeypatch.setenv(name, value)
    stores.new_store()
    Path("list.csv").write_text("input\ns3://AKIA:hunter2@bucket/a.wav\nnonsense://u:hunter2@h/b\n")
    code = batch_all(Path("list.csv"), SMALL, Talk(), BatchOptions(), allow_outside=True)
    assert code
    said = capsys.readouterr()
    kept = Path("out/.audiosep/journal.jsonl").read_text()
    assert "s3://bucket/a.wav" in said.err
    assert '"s3://bucket/a.wav"' in kept
    assert "hunter2" not in said.out + said.err + kept


def test_a_record_names_no_password(here, capsys):
    served = here / "served"
    served.mkdir()
    files.write_sound(served / "take.wav", files.noise(1500, 1))
    with web_server(functools.partial(Files, directory=served)) as port:
        url = place_from(f"http://anna:hunter2@127.0.0.1:{port}/take.wav?token=beef")
        assert split_all([url], SMALL, Talk(json_lines=True), BatchOptions()) == 0
    record = Path("out/take/audiosep.json").read_text()
    assert json.loads(record)["input"]["path"] == f"http://127.0.0.1:{port}/take.wav"
    said = capsys.readouterr()
    for text in (record, said.out, said.err):
        assert "hunter2" not in text
        assert "beef" not in text


# Copies


@pytest.mark.parametrize("name", ["stems.wav", "stems", "in", "s.wav"])
def test_an_object_may_be_called_as_any_folder(here, capsys, name):
    import fsspec

    memory = fsspec.filesystem("memory")
    files.write_sound("x.wav", files.noise(1500, 1))
    home = f"{here.name}-{name}"
    memory.pipe_file(f"/{home}/{name}", Path("x.wav").read_bytes())
    source, out = f"memory://{home}/{name}", f"memory://{home}-out"
    options = replace(SMALL, out=Url(out))
    assert split_all([Url(source)], options, Talk(json_lines=True), BatchOptions()) == 0
    entry = json.loads(capsys.readouterr().out)
    assert entry["input"] == source
    stem = name.removesuffix(".wav")
    assert set(entry["stems"].values()) == {f"{out}/{stem}/source-{n}.wav" for n in (1, 2)}


def test_paths_are_translated_the_longest_first():
    addresses = {"/t/stems": "s3://b/out", "/t/stems.flac": "s3://b/in.flac"}
    said = "/t/stems.flac -> /t/stems/source-1.wav"
    for pairs in (addresses, dict(reversed(addresses.items()))):
        relay = remote._Relay(to=Talk(), addresses=pairs)
        assert relay.translated([said]) == ["s3://b/in.flac -> s3://b/out/source-1.wav"]


# Temporary folders


def test_a_folder_that_cannot_be_renamed_is_removed(here, monkeypatch):
    def refuse(self, target):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(OutputError, match="no temporary folder can be made"), scratch():
            pass
    assert list((here / "tmp").iterdir()) == []


def test_folders_that_were_never_held_are_removed_when_they_are_old(here):
    pytest.importorskip("fcntl")
    old, new, held = (here / "tmp" / f".audiosep.new-{name}" for name in ("old", "new", "held"))
    for folder in (old, new, held):
        folder.mkdir()
    for folder in (old, held):
        os.utime(folder, (0, 0))
    import fcntl

    handle = os.open(held, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        remove_dead_scratch()
    finally:
        os.close(handle)
    assert not old.exists()
    assert new.is_dir()  # another process may just have made it
    assert held.is_dir()
