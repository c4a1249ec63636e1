"""Recordings and stems in a remote store: a real S3 endpoint on this computer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path, PurePath

import files
import pytest
import stores
from test_manifest import OPTIONS

import audiosep
from audiosep.cli import remote
from audiosep.cli.addresses import check_addresses
from audiosep.cli.batch import batch_all
from audiosep.cli.batches import BatchOptions
from audiosep.cli.info import info_all
from audiosep.cli.inside import within
from audiosep.cli.locks import home_of
from audiosep.cli.places import UNFINISHED_NAME
from audiosep.cli.remote import header_of
from audiosep.cli.split import split_all
from audiosep.cli.talk import Talk
from audiosep.errors import InputError, OutputError, RefusedError, UsageError
from audiosep.io import remote as io_remote
from audiosep.io.naming import TOP, display
from audiosep.io.urls import Url, is_url, place_from, seen_from

SMALL = replace(OPTIONS, preset="components", n_components=3, max_iter=2, n_threads=1)
STEMS = ("source-1.wav", "source-2.wav")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with stores.s3_server(tmp_path_factory.mktemp("s3") / "log") as address:
        yield address


@pytest.fixture(scope="session", autouse=True)
def _compiled():
    """Compile the kernels once, so that no test waits for them."""
    audiosep.separate(files.noise(), 8000, **files.SMALL_SETTINGS)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of one's own, for results, state and temporary files."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path


@pytest.fixture
def bucket(server, here, monkeypatch):
    """A store with an empty bucket of one's own: ``s3://<name>``."""
    for name, value in stores.s3_environment(server).items():
        monkeypatch.setenv(name, value)
    name = f"b{time.time_ns()}"
    bucket = Bucket(stores.new_store(), name)
    bucket.fs.mkdir(name)
    yield bucket
    left = [path.name for path in (here / "tmp").iterdir() if path.name.startswith(".audiosep")]
    assert left == []


class Bucket:
    def __init__(self, fs, name):
        self.fs = fs
        self.name = name

    def url(self, key=""):
        return f"s3://{self.name}/{key}".rstrip("/")

    def put(self, key, data):
        self.fs.pipe_file(f"{self.name}/{key}", data)

    def sound(self, key, seed=0, n_samples=1500):
        self.put(key, sound_bytes(seed, n_samples))

    def tree(self, key=""):
        """All objects below a key with their bytes."""
        top = f"{self.name}/{key}".rstrip("/")
        return {
            path.removeprefix(f"{top}/"): self.fs.cat_file(path)
            for path in sorted(self.fs.find(top))
        }

    def record(self, key):
        return json.loads(self.fs.cat_file(f"{self.name}/{key}/audiosep.json"))


def sound_bytes(seed=0, n_samples=1500):
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        files.write_sound(file.name, files.noise(n_samples, 1, seed=seed))
        return Path(file.name).read_bytes()


@pytest.fixture
def split(here, capsys):
    """Run ``audiosep split`` inside this process."""

    def run(*inputs, out="out", options=SMALL, talk=None, **batch):
        talk = Talk(json_lines=True) if talk is None else talk
        options = replace(options, out=place_from(out))
        places = [place_from(str(text)) for text in inputs]
        code = split_all(places, options, talk, BatchOptions(**batch))
        said = capsys.readouterr()
        return files.Ended(int(code), said.out, said.err)

    return run


def statuses(ended):
    entries = map(json.loads, ended.out.splitlines())
    return {entry["input"]: entry["status"] for entry in entries}


def stems_of(tree):
    return {name: data for name, data in tree.items() if name.endswith((".wav", ".safetensors"))}


# Addresses


def test_addresses_are_joined_as_paths_are():
    url = Url("s3://bucket/tapes/tambór Ω.flac")
    assert (url.name, url.stem, url.suffix) == ("tambór Ω.flac", "tambór Ω", ".flac")
    assert url.parent == Url("s3://bucket/tapes/")
    assert url.parent.parent == url.parent.parent.parent == Url("s3://bucket")
    assert url.parent / PurePath("a/b") == Url("s3://bucket/tapes/a/b")
    assert url.parent / PurePath() == url.parent
    assert url.with_name("x") == Url("s3://bucket/tapes/x")
    assert url.is_in(Url("s3://bucket"))
    assert not url.is_in(Url("s3://bucket/tape"))
    assert seen_from(url, Url("s3://bucket")) == "tapes/tambór Ω.flac"
    # Keys may hold what paths cannot.
    assert str(Url("s3://bucket/a//b.wav")) == "s3://bucket/a//b.wav"


def test_what_is_an_address():
    assert place_from("s3://b/x.wav") == Url("s3://b/x.wav")
    assert place_from("file:///tmp/a%20b.wav") == Path("/tmp/a b.wav")
    assert place_from("tapes/x.wav") == Path("tapes/x.wav")
    assert not is_url("C:/x.wav")
    assert not is_url("C://x.wav")


def test_what_signs_an_address_is_not_told():
    url = Url("https://anna:secret@host/a/take.wav?X-Amz-Signature=1//2#x")
    assert str(url) == display(url) == "https://host/a/take.wav"
    assert url.name == "take.wav"
    assert "secret" in url.text


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("learn s3://b/x.wav -o d", "'audiosep learn' takes files on this computer only"),
        ("atoms x.wav --out=s3://b/x", "'audiosep atoms' takes files on this computer only"),
        ("split x.wav --score s3://b/x.mid", "--score takes files on this computer only"),
        ("split x.wav --journal=s3://b/j", "--journal takes files on this computer only"),
        ("split x.wav --example a=s3://b/a.wav", "s3://b/a.wav is an address, and --example"),
    ],
)
def test_where_addresses_may_not_stand(typed, words):
    with pytest.raises(UsageError, match=words):
        check_addresses(typed.split())


def test_where_addresses_may_stand():
    for typed in (
        "split s3://b/x.wav -o s3://b/y --scheduler tcp://host:1",
        "batch s3://b/list.csv --out=s3://b/y",
        "info https://host/x.wav",
        "learn x.wav -o d --provenance https://host",
    ):
        check_addresses(typed.split())


def test_commands_say_where_addresses_may_not_stand(here):
    ended = files.audiosep("evaluate", "s3://b/truth", "s3://b/stems")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("audiosep: s3://b/truth is an address")
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("missing", ["fsspec", "fsspec.core", "s3fs"])
def test_the_extra_is_named_where_it_is_missing(here, split, monkeypatch, missing):
    from fsspec.registry import _registry

    monkeypatch.delitem(_registry, "s3", raising=False)
    monkeypatch.delitem(sys.modules, "fsspec.core", raising=False)  # of an earlier test
    monkeypatch.setitem(sys.modules, missing, None)
    ended = split("s3://bucket/x.wav", talk=Talk())
    assert ended.code == 2
    assert ended.err == (
        "audiosep: s3://bucket/x.wav is an address, and what follows it is not installed; "
        "install the extra s3: pip install 'audiosep[s3]'.\n"
    )
    files.write_sound("x.wav")
    with pytest.raises(UsageError, match=r"s3://bucket/y .* pip install 'audiosep\[s3\]'"):
        split("x.wav", out="s3://bucket/y")


# One recording


def test_one_object_is_split_as_a_file_is(bucket, split):
    key = "tapes/reel 1/tambór Ω.wav"
    bucket.sound(key)
    Path("tambór Ω.wav").write_bytes(sound_bytes())
    ended = split(bucket.url(key), out=bucket.url("stems"), talk=Talk())
    assert ended.code == 0
    place = bucket.url("stems/tambór Ω")
    assert ended.out.splitlines() == [f"{place}/{name}" for name in STEMS]
    assert f"{bucket.url(key)}: 0.2 s -> 2 stems" in ended.err
    split("tambór Ω.wav")
    there, local = bucket.tree("stems/tambór Ω"), files.tree("out/tambór Ω")
    assert stems_of(there) == stems_of(local)
    assert sorted(there) == sorted(local)
    record, wanted = bucket.record("stems/tambór Ω"), json.loads(local["audiosep.json"])
    assert record["input"] == wanted["input"] | {
        "path": bucket.url(key),
        "size": len(sound_bytes()),
        "etag": record["input"]["etag"],
    }
    for name, stem in record["stems"].items():
        assert stem["size"] == len(there[stem["file"]])
        assert wanted["stems"][name].items() <= stem.items()
    assert record["settings"] == wanted["settings"]


def test_remote_in_local_out_and_back(bucket, split, monkeypatch):
    bucket.sound("a.wav")
    assert statuses(split(bucket.url("a.wav"))) == {bucket.url("a.wav"): "done"}
    record = json.loads(Path("out/a/audiosep.json").read_text())
    assert record["input"]["path"] == bucket.url("a.wav")
    with monkeypatch.context() as patch:
        # What is known of the object is in the record: nothing is copied to see that it is done.
        patch.setattr(remote, "fetch", None)
        assert statuses(split(bucket.url("a.wav"))) == {bucket.url("a.wav"): "skipped"}
    Path("a.wav").write_bytes(sound_bytes())
    assert statuses(split("a.wav")) == {"a.wav": "skipped"}
    assert statuses(split("a.wav", out=bucket.url("stems"))) == {"a.wav": "done"}
    assert stems_of(bucket.tree("stems/a")) == stems_of(files.tree("out/a"))
    assert statuses(split("a.wav", out=bucket.url("stems"))) == {"a.wav": "skipped"}
    # The same sound, wherever it is.
    assert statuses(split(bucket.url("a.wav"), out=bucket.url("stems"))) == {
        bucket.url("a.wav"): "skipped"
    }


def test_what_to_do_where_stems_are(bucket, split):
    bucket.sound("a.wav")
    url, out = bucket.url("a.wav"), bucket.url("stems")
    split(url, out=out)
    other = replace(SMALL, seed=1)
    said = split(url, out=out, options=other, talk=Talk())
    assert f"{out}/a holds stems made with other settings" in said.err
    assert f"{out}/a-2/source-1.wav" in said.out
    ended = split(url, out=out, options=replace(SMALL, exists="fail"))
    assert ended.code == 5
    assert f"{out}/a already exists" in ended.out
    ended = split(url, out=out, options=replace(SMALL, exists="rename"))
    assert f"{out}/a-3/source-1.wav" in ended.out
    bucket.put("stems/a/notes.txt", b"mine")
    ended = split(url, out=out, options=replace(SMALL, exists="overwrite", format="flac"))
    assert statuses(ended) == {url: "done"}
    names = set(bucket.tree("stems/a"))
    assert names >= {"source-1.flac", "audiosep.json", "notes.txt"}
    assert not any(name.endswith(".wav") for name in names)
    assert UNFINISHED_NAME not in names


def test_stems_of_unknown_origin_are_not_replaced(bucket, split):
    bucket.sound("a.wav")
    bucket.sound("stems/a/source-1.wav")
    ended = split(bucket.url("a.wav"), out=bucket.url("stems"))
    assert ended.code == 5
    assert "holds files that no finished run has left" in ended.out
    bucket.sound("stems/b/b.wav")
    ended = split(bucket.url("stems/b/b.wav"), out=bucket.url("stems"))
    assert "is in the folder that its stems would go to" in ended.out


def test_an_object_that_is_missing(bucket, split):
    for url in (bucket.url("absent.wav"), "s3://no-such-bucket/a.wav"):
        ended = split(url, talk=Talk())
        assert ended.code == 3
        assert ended.err == f"audiosep: {url} does not exist; check the bucket and the name.\n"
    bucket.sound("a.wav")
    assert split(bucket.url("a.wav"), bucket.url("absent.wav")).code == 1


def test_a_bucket_that_is_missing_is_told_before_any_work(bucket, split, monkeypatch):
    files.write_sound("a.wav")
    monkeypatch.setattr(remote, "_RemoteTask", None)
    ended = split("a.wav", out="s3://no-such-bucket/stems", talk=Talk())
    assert ended.code == 4
    assert ended.err.startswith("audiosep: s3://no-such-bucket/stems does not exist")
    with pytest.raises(OutputError, match="s3://no-such-bucket/stems does not exist"):
        split("a.wav", out="s3://no-such-bucket/stems", jobs=2)
    assert not bucket.fs.exists("no-such-bucket")


def test_a_store_out_of_reach_says_nothing_of_a_recording(bucket, split, monkeypatch):
    bucket.sound("in/a.wav")
    url, out = bucket.url("in/a.wav"), bucket.url("stems")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    stores.new_store().retries = 1
    Path("list.csv").write_text(f"input\n{url}\n")
    options = replace(SMALL, out=Path("out"))
    many = BatchOptions()
    assert batch_all(Path("list.csv"), options, Talk(), many, allow_outside=True) == 3
    (line,) = [line for line in journal("out/.audiosep") if "status" in line]
    assert line["kind"] == "network"
    assert line["error"].startswith(f"{url} cannot be reached (")
    assert "check the network and AWS_ENDPOINT_URL" in line["error"]
    assert out not in line["error"]


def journal(home):
    return [json.loads(line) for line in Path(home, "journal.jsonl").read_text().splitlines()]


def test_an_object_that_changes_while_it_is_read(bucket, split, monkeypatch):
    bucket.sound("a.wav")
    get = bucket.fs.get_file

    def slow(*arguments, **more):
        get(*arguments, **more)
        bucket.sound("a.wav", seed=1)

    with monkeypatch.context() as patch:
        patch.setattr(bucket.fs, "get_file", slow)
        ended = split(bucket.url("a.wav"), out=bucket.url("stems"))
    assert ended.code == 3
    assert f"{bucket.url('a.wav')} changed while it was read" in ended.out
    assert bucket.tree("stems") == {}
    assert split(bucket.url("a.wav"), out=bucket.url("stems")).code == 0


def test_a_put_that_fails_leaves_no_record_and_is_made_good(bucket, split, monkeypatch):
    bucket.sound("a.wav")
    url, out = bucket.url("a.wav"), bucket.url("stems")
    put = bucket.fs.put_file

    def cut(here, there, **more):
        if there.endswith("source-2.wav"):
            raise ConnectionResetError("the line is dead")
        put(here, there, **more)

    with monkeypatch.context() as patch:
        patch.setattr(bucket.fs, "put_file", cut)
        ended = split(url, out=out)
    assert ended.code == 4
    assert f"{out}/a/source-2.wav cannot be reached" in ended.out
    assert "source-1.wav" in bucket.tree("stems/a")
    assert "audiosep.json" not in bucket.tree("stems/a")
    assert statuses(split(url, out=out)) == {url: "done"}
    assert sorted(bucket.tree("stems/a")) == sorted([*STEMS, "audiosep.json", *extras(bucket)])


def extras(bucket):
    return bucket.record("stems/a")["files"]


def test_what_arrives_short_is_told(bucket, split, monkeypatch):
    bucket.sound("a.wav")
    put = bucket.fs.put_file

    def short(here, there, **more):
        files.cut(here, 0.5)
        put(here, there, **more)

    monkeypatch.setattr(bucket.fs, "put_file", short)
    ended = split(bucket.url("a.wav"), out=bucket.url("stems"))
    assert ended.code == 4
    assert "bytes instead of" in ended.out
    assert "audiosep.json" not in bucket.tree("stems/a")


def test_only_the_ends_are_read_for_a_header(bucket, split, capsys, monkeypatch):
    bucket.sound("long.wav", n_samples=600_000)
    with tempfile.NamedTemporaryFile(suffix=".ogg") as file:
        samples = files.noise(200_000, 1)
        files.write_sound(file.name, samples, 44100, format="OGG", subtype="VORBIS")
        bucket.put("long.ogg", Path(file.name).read_bytes())
    bucket.put("bad.wav", b"no sound" * 100_000)
    with monkeypatch.context() as patch:
        patch.setattr(remote, "fetch", None)
        about, ending = header_of(Url(bucket.url("long.wav")))
        assert (about.n_samples, about.sr, ending.is_cut) == (600_000, 8000, False)
        options = replace(SMALL, dry_run=True, start=10.0)
        ended = split(bucket.url("long.wav"), out=bucket.url("stems"), options=options, talk=Talk())
        assert ended.code == 0
        assert ended.out.startswith(f"{bucket.url('long.wav')}: 65.0 s, 8000 Hz, 1 channel")
        assert f" -> {bucket.url('stems/long')}/ as wav: " in ended.out
    assert bucket.tree("stems") == {}
    # What does not tell enough there is read as a whole.
    names = [bucket.url(name) for name in ("long.wav", "long.ogg", "bad.wav", "absent.wav")]
    assert info_all([Url(name) for name in names], Talk(json_lines=True)) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["status"] for entry in found] == ["ok", "ok", "failed", "failed"]
    assert found[1]["n_samples"] == 200_000


# Many recordings


def test_a_folder_with_a_broken_object(bucket, split):
    for number, key in enumerate(("in/a.wav", "in/x/b.wav", "in/x/y/ć d.wav")):
        bucket.sound(key, seed=number)
    bucket.put("in/x/bad.wav", b"no sound")
    bucket.put("in/notes.txt", b"no recording")
    bucket.sound("in/.hidden/e.wav")
    url, out = bucket.url("in"), bucket.url("in/stems")
    ended = split(url, out=out, recursive=True, talk=Talk(verbose=True))
    assert ended.code == 1
    assert f"audiosep: journal and locks are in {home_of(Url(out))}" in ended.err
    (bad,) = [line for line in ended.err.splitlines() if "bad.wav" in line]
    assert bad.startswith(f"audiosep: {url}/x/bad.wav is not audio that can be read")
    assert (
        ended.err.splitlines()[-1]
        == "audiosep: 3 done, 0 done before, 1 failed, 1 of them no audio"
    )
    records = {f"{name}/audiosep.json" for name in ("a", "x/b", "x/y/ć d")}
    assert {name for name in bucket.tree("in/stems") if name.endswith("json")} == records
    assert (home_of(Url(out)) / "journal.jsonl").exists()

    # A second run does nothing, and takes no stems for recordings.
    before = bucket.tree("in")
    ended = split(url, out=out, recursive=True)
    wanted = {f"{url}/{key}": "skipped" for key in ("a.wav", "x/b.wav", "x/y/ć d.wav")}
    assert statuses(ended) == wanted | {f"{url}/x/bad.wav": "failed"}
    assert bucket.tree("in") == before

    # A stem that is gone is made again with its track; one that was changed is not replaced.
    bucket.fs.rm_file(f"{bucket.name}/in/stems/x/b/source-2.wav")
    bucket.sound("in/stems/a/source-1.wav", seed=9)
    ended = split(url, out=out, recursive=True)
    changed = {f"{url}/a.wav": "failed", f"{url}/x/b.wav": "done", f"{url}/x/bad.wav": "failed"}
    assert statuses(ended) == wanted | changed
    assert "source-1.wav is damaged or edited since" in ended.out
    assert stems_of(bucket.tree("in/stems/x")) == stems_of(
        {name.removeprefix("stems/x/"): data for name, data in before.items() if "stems/x/" in name}
    )
    told = statuses(split(url, out=out, recursive=True, status=True))
    assert told[f"{url}/x/b.wav"] == "done"
    assert told[f"{url}/x/bad.wav"] == "failed"


def test_folders_without_recordings(bucket, split):
    bucket.put("in/x/notes.txt", b"")
    ended = split(bucket.url("in"), recursive=True, talk=Talk())
    assert ended.err == (
        f"audiosep: {bucket.url('in')} is a folder without recordings, and so are those in it.\n"
    )
    bucket.sound("a.wav")
    split(bucket.url("a.wav"), out=bucket.url("stems"))
    ended = split(bucket.url("stems/a"))
    assert "holds stems, not recordings" in ended.out


def test_parts_of_keys_that_lead_out_are_refused(bucket, split):
    bucket.sound("in/a.wav")
    bucket.sound("in/../../../up.wav")
    bucket.sound("in/odd?x=%20#1.wav")
    url = bucket.url("in")
    ended = split(url, recursive=True)
    assert ended.code == 1
    assert f"{url}/../ cannot be the name of a folder; rename it." in ended.out
    assert {path.parent.name for path in Path().rglob("audiosep.json")} == {"a", "odd?x=%20#1"}
    assert sorted(path.name for path in Path().iterdir()) == ["out"]


def test_rows_of_a_remote_manifest(bucket, here, capsys):
    bucket.sound("lists/x/a.wav")
    bucket.sound("b.wav")
    rows = ["input,sources", "x/a.wav,3", f"{bucket.url('b.wav')},", "x/../../b.wav,", "/etc/x,"]
    bucket.put("lists/list.csv", "\n".join(rows).encode())

    def run(*, allow_outside):
        options = replace(SMALL, out=Url(bucket.url("stems")))
        path = Url(bucket.url("lists/list.csv"))
        talk = Talk(json_lines=True)
        code = batch_all(path, options, talk, BatchOptions(), allow_outside=allow_outside)
        return files.Ended(int(code), capsys.readouterr().out, "")

    ended = run(allow_outside=False)
    assert ended.code == 1
    url = bucket.url("lists/list.csv")
    assert f"{url}, line 3: '{bucket.url('b.wav')}' leads out of the folder" in ended.out
    assert f"{url}, line 4: 'x/../../b.wav' has a part '.' or '..'" in ended.out
    assert len([name for name in bucket.tree("stems/x/a") if name.startswith("source-")]) == 3
    ended = run(allow_outside=True)
    assert f"{bucket.url('stems')}/b/source-1.wav" in ended.out


def test_addresses_in_rows():
    root = Url("s3://bucket/lists")
    assert within(root, "a/b.wav") == (Url("s3://bucket/lists/a/b.wav"), PurePath("a"))
    assert within(root, "s3://bucket/lists/b.wav") == (Url("s3://bucket/lists/b.wav"), TOP)
    for text in ("s3://bucket/listsx/b.wav", "s3://other/b.wav", "/b.wav"):
        with pytest.raises(ValueError, match="leads out of"):
            within(root, text)
        assert within(root, text, allow_outside=True)[1] == TOP
    for text in ("../b.wav", "s3://bucket/lists/../b.wav", "a/./b.wav"):
        with pytest.raises(ValueError, match="has a part"):
            within(root, text, allow_outside=True)
    with pytest.raises(ValueError, match="is a URL; give a path"):
        within(root, "file:///etc/passwd", allow_outside=True)


def start(*arguments):
    return subprocess.Popen(
        [*files.COMMAND, "split", *arguments, *files.SMALL],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_killed_and_resumed_is_as_never_killed(bucket, split, here):
    for number in range(10):
        bucket.sound(f"in/reel-{number % 2}/take-{number}.wav", seed=number)
    bucket.put("in/bad.wav", b"no sound")
    url, out = bucket.url("in"), bucket.url("stems")
    arguments = (url, "-r", "-o", out, "--jobs", "2")

    def n_done():
        found = bucket.fs.find(f"{bucket.name}/stems")
        return sum(path.endswith("audiosep.json") for path in found)

    with start(*arguments) as process:
        deadline = time.monotonic() + 200
        while n_done() < 2:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    # What was on its way when all died may still arrive.
    before = None
    while before != (before := bucket.fs.find(f"{bucket.name}/stems", detail=True).keys()):
        time.sleep(0.5)
    assert n_done() < 10
    ended = split(url, out=out, recursive=True)
    assert ended.code == 1
    assert list(statuses(ended).values()).count("failed") == 1
    assert split(url, out=bucket.url("whole"), recursive=True).code == 1
    resumed, whole = bucket.tree("stems"), bucket.tree("whole")
    assert sorted(resumed) == sorted(whole)
    assert stems_of(resumed) == stems_of(whole)
    for name in resumed:
        if name.endswith("audiosep.json"):
            one, other = json.loads(resumed[name]), json.loads(whole[name])
            assert (one["input"], one["stems"]) == (other["input"], other["stems"])
    # Each once, though some were in work when all died.
    made = [line["track"] for line in journal(home_of(Url(out))) if line.get("seconds")]
    assert len(made) == len(set(made))


def test_a_track_that_died_while_it_was_put_is_not_done(bucket, split):
    bucket.sound("a.wav")
    url, out = bucket.url("a.wav"), bucket.url("stems")
    split(url, out=out)
    before = bucket.tree("stems")
    # As it is after the first of two stems.
    for name in ("audiosep.json", "source-2.wav"):
        bucket.fs.rm_file(f"{bucket.name}/stems/a/{name}")
    bucket.put(f"stems/a/{UNFINISHED_NAME}", b"{}")
    assert statuses(split(url, out=out, status=True)) == {url: "left"}
    assert statuses(split(url, out=out)) == {url: "done"}
    assert sorted(bucket.tree("stems")) == sorted(before)
    # Or between the record and the end: it is done, and what is left is removed.
    bucket.put(f"stems/a/{UNFINISHED_NAME}", b"{}")
    assert statuses(split(url, out=out)) == {url: "skipped"}
    assert sorted(bucket.tree("stems")) == sorted(before)


def test_what_has_appeared_meanwhile_is_not_replaced(bucket, split, here, monkeypatch):
    bucket.sound("a.wav")
    url, out = bucket.url("a.wav"), bucket.url("stems")
    put_all = remote._put_all

    def run(other):
        def late(stems, place, record, *, fresh):
            with monkeypatch.context() as patch:
                patch.setattr(remote, "_put_all", put_all)
                patch.setenv("XDG_STATE_HOME", str(here / "there"))  # its locks are elsewhere
                split(url, out=out, options=other)  # another machine was faster
            put_all(stems, place, record, fresh=fresh)

        with monkeypatch.context() as patch:
            patch.setattr(remote, "_put_all", late)
            return split(url, out=out)

    ended = run(replace(SMALL, seed=1))
    assert ended.code == RefusedError.exit_code
    assert f"{out}/a has appeared while the stems were made" in ended.out
    bucket.fs.rm(f"{bucket.name}/stems", recursive=True)
    # The same stems need not be put again.
    assert run(SMALL).code == 0
    assert statuses(split(url, out=out)) == {url: "skipped"}


def test_dead_tasks_are_cleaned_up_for(here):
    from audiosep.io.scratch import remove_dead_scratch, scratch

    pytest.importorskip("fcntl")
    dead = here / "tmp" / ".audiosep.task-dead"
    dead.mkdir()
    (dead / "copy.wav").touch()
    with scratch() as mine:
        assert not dead.exists()
        remove_dead_scratch()
        assert mine.is_dir()
        code = "from audiosep.io.scratch import remove_dead_scratch as r; r()"
        subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
        assert mine.is_dir()
    assert not mine.exists()


def test_what_is_no_s3(here, split):
    files.write_sound("a.wav")
    assert "is no address that can be followed" in split("nonsense://x/y.wav").out
    ended = split("a.wav", out="https://127.0.0.1:1/x", talk=Talk())
    assert ended.code == 4
    assert "can only be read" in ended.err
    # Another store of fsspec, to show that nothing is S3's own.
    assert split("a.wav", out="memory://stems").code == 0
    import fsspec

    memory = fsspec.filesystem("memory")
    assert memory.exists("/stems/a/audiosep.json")
    assert statuses(split("a.wav", out="memory://stems")) == {"a.wav": "skipped"}
    memory.pipe_file("/in/a.wav", sound_bytes())
    assert statuses(split("memory://in", recursive=True)) == {"memory://in/a.wav": "done"}
    with pytest.raises(InputError, match="is a folder, not a recording"):
        io_remote.state_of(Url("memory://in"))
