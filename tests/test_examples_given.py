"""Examples as users give them: files, regions, dictionaries, and what cannot be one."""

from __future__ import annotations

import numpy as np
import pytest
import scenes
import soundfile

import audiosep
from audiosep import Audio, Region, learn, merge_dictionaries
from audiosep.dictionaries import problem_of_range
from audiosep.dictionary_files import save_dictionary
from audiosep.errors import DictionaryError, InputError, UsageError
from audiosep.examples import example_from, examples_from, hear_examples, identity_of

SR = 16000


@pytest.fixture(scope="module")
def scene():
    return scenes.two_notes(sr=SR)


@pytest.fixture
def folder(tmp_path, scene):
    for name, samples in scene.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, SR)
    soundfile.write(tmp_path / "mix.wav", scenes.mixture(scene)[0], SR)
    return tmp_path


def hear(given, mixture, recording=None):
    return hear_examples(
        examples_from(given),
        mixture,
        recording,
        window_s=0.064,
        n_components=None,
        seed=0,
        n_threads=1,
        progress=lambda *_: None,
    )


@pytest.mark.parametrize(
    ("text", "start_s", "end_s"),
    [
        ("@0-3", 0.0, 3.0),
        ("@1.5-2.25", 1.5, 2.25),
        ("@ 1 - 2 ", 1.0, 2.0),
        ("@1:05-1:10.5", 65.0, 70.5),
        ("@1:00:00-1:00:01", 3600.0, 3601.0),
        ("@4-", 4.0, None),
    ],
)
def test_regions(text, start_s, end_s):
    assert example_from(text) == Region(start_s=start_s, end_s=end_s)


@pytest.mark.parametrize(
    "text",
    ["@", "@1", "@-1", "@2-1", "@1-1", "@a-b", "@1-2-3", "@1:2:3:4-5", "@.-1", "@٣-٤", "@1-1e999"],
)
def test_what_is_no_region(text):
    with pytest.raises(UsageError, match=r"@"):
        example_from(text)


def test_regions_are_written_as_they_are_read():
    for text in ("@0-3", "@1.5-2.25", "@4-"):
        assert str(example_from(text)) == text


@pytest.mark.parametrize("value", [3, None, 2.5, {"a": 1}])
def test_what_is_no_example(value):
    with pytest.raises(UsageError, match="an example must be"):
        example_from(value)


def test_missing_and_damaged_files(folder):
    with pytest.raises(InputError, match=r"nowhere\.wav"):
        example_from(folder / "nowhere.wav")
    (folder / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(DictionaryError, match=r"x\.safetensors"):
        example_from(folder / "x.safetensors")


@pytest.mark.parametrize("name", ["../x", "", "a/b", "one-shot-x"])
def test_names_that_no_stem_can_have(name):
    with pytest.raises(UsageError, match="cannot name a stem"):
        examples_from({name: "@0-1"})


def test_no_example_of_a_name():
    with pytest.raises(UsageError, match="no example of 'dog'"):
        examples_from({"dog": []})


def test_a_file_and_a_region_of_a_file(folder, scene):
    mixture = audiosep.read(folder / "mix.wav")
    heard = hear({"low": folder / "low.wav", "high": "@0.5-0.9"}, mixture, folder / "mix.wav")
    low, high = heard.dictionaries
    assert (low.sources, high.sources) == (("low",), ("high",))
    assert low.frequencies_hz[low.templates.max(axis=1).argmax()] < 300
    assert heard.about["high"][0]["region"] == "@0.5-0.9"
    assert heard.about["low"][0]["path"].endswith("low.wav")
    assert heard.notes == ()


def test_regions_count_from_the_beginning_of_the_file(folder):
    whole = audiosep.read(folder / "mix.wav")
    part = audiosep.read(folder / "mix.wav", start=1.0)
    one = hear({"x": "@0.2-0.6"}, whole, folder / "mix.wav").dictionaries[0]
    two = hear({"x": "@0.2-0.6"}, part, folder / "mix.wav").dictionaries[0]
    np.testing.assert_array_equal(one.templates, two.templates)


def test_a_region_of_an_array_is_that_of_its_file(folder):
    whole = audiosep.read(folder / "mix.wav")
    one = hear({"x": "@0.2-0.6"}, whole, folder / "mix.wav").dictionaries[0]
    two = hear({"x": "@0.2-0.6"}, whole).dictionaries[0]
    np.testing.assert_array_equal(one.templates, two.templates)


@pytest.mark.parametrize("text", ["@2-3", "@0-2.1", "@100-101", "@5-"])
@pytest.mark.parametrize("from_file", [True, False])
def test_a_region_outside_the_recording(folder, text, from_file):
    mixture = audiosep.read(folder / "mix.wav")
    with pytest.raises(InputError, match=r"outside the recording, which is 2\.00 s long"):
        hear({"x": text}, mixture, folder / "mix.wav" if from_file else None)


def test_a_silent_region(folder):
    samples = np.zeros((1, SR), dtype=np.float32)
    samples[0, : SR // 2] = 0.1
    with pytest.raises(InputError, match="example of 'x' is silent"):
        hear({"x": "@0.6-0.9"}, Audio(samples=samples, sr=SR))


def test_notes_on_rates_and_on_what_is_short(folder, scene):
    mixture = audiosep.read(folder / "mix.wav")
    other = Audio(samples=np.atleast_2d(scene["low"][::2]).copy(), sr=SR // 2)
    heard = hear({"low": other, "high": "@0.5-0.55"}, mixture)
    assert any("low at 8000 Hz were resampled to 16000 Hz" in note for note in heard.notes)
    assert any("high lasts 0.050 s" in warning for warning in heard.warnings)


@pytest.mark.parametrize("kind", ["dictionary", "sound"])
def test_examples_that_end_below_the_recording(scene, kind):
    mixture = Audio(samples=scenes.mixture(scene), sr=SR)
    slow = Audio(samples=np.atleast_2d(scene["low"][::2]).copy(), sr=SR // 2)
    fast = Audio(samples=scene["low"][np.newaxis], sr=SR)
    if kind == "dictionary":
        slow, fast = (learn([sound], label="low", n_components=3) for sound in (slow, fast))
    words = "the example of low ends at 4000 Hz and the recording at 8000 Hz: it cannot tell what"
    assert [w for w in hear({"low": slow}, mixture).warnings if words in w]
    assert hear({"low": fast}, mixture).warnings == ()
    # One that knows more makes up for the other.
    assert hear({"low": [slow, fast]}, mixture).warnings == ()


@pytest.mark.parametrize(
    ("highest_hz", "sr", "warned"),
    [(4000, 8000, False), (8000, 44100, True), (22050, 96000, False), (12000, 44100, True)],
)
def test_what_counts_as_below_the_recording(highest_hz, sr, warned):
    assert bool(problem_of_range(highest_hz, sr, "it")) is warned


def test_what_was_read_is_what_is_told(folder, scene):
    mixture = audiosep.read(folder / "mix.wav")
    given = examples_from({"low": ["@0-0.4", folder / "low.wav"]})
    before = identity_of(given)
    heard = hear(given, mixture)
    soundfile.write(folder / "low.wav", scene["high"], SR)
    assert heard.identity == before != identity_of(given)


def test_several_examples_of_one_source(folder, scene):
    mixture = audiosep.read(folder / "mix.wav")
    low = Audio(samples=scene["low"][np.newaxis], sr=SR)
    dictionary = learn([low], label="whatever", n_components=5)
    heard = hear({"low": ["@0-0.4", folder / "low.wav", dictionary]}, mixture)
    (found,) = heard.dictionaries
    assert found.sources == ("low",)
    assert found.n_components > 5
    assert len(heard.about["low"]) == 4


def test_what_decides_is_the_content(folder, scene):
    low = Audio(samples=scene["low"][np.newaxis], sr=SR)
    given = {"a": folder / "low.wav", "b": "@0-1", "c": low, "d": learn([low], label="d")}
    one, two = identity_of(examples_from(given)), identity_of(examples_from(given))
    assert one == two
    assert len({str(value) for value in one.values()}) == 4
    soundfile.write(folder / "low.wav", scene["high"], SR)
    assert identity_of(examples_from(given))["a"] != one["a"]


# The separator


FAST = {"quality": "fast", "n_threads": 1}


def test_examples_decide_where_no_preset_was_chosen(folder):
    given = {"low": folder / "low.wav", "high": folder / "high.wav"}
    result = audiosep.separate(folder / "mix.wav", examples=given, **FAST)
    assert list(result.stems) == ["low", "high"]
    assert result.record["method"] == "by-example"
    assert set(result.record["examples"]) == {"low", "high"}


def test_the_rest_has_a_name(folder):
    given = {"low": folder / "low.wav"}
    result = audiosep.separate(folder / "mix.wav", examples=given, rest="birds", **FAST)
    assert list(result.stems) == ["low", "birds"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"preset": "drums", "examples": {"a": "@0-1"}}, "takes no examples"),
        ({"preset": "by-example"}, "needs examples"),
        ({"preset": "score"}, "needs a score"),
        ({"preset": "drums", "rest": "x"}, "give an example or a score"),
        ({"preset": "speech", "rest": "x"}, "give an example or a score"),
        ({"preset": "drums", "n_free": 2}, "give an example or a score"),
        ({"examples": {"a": "@0-1"}, "score": "x.mid"}, "cannot be told at once"),
        ({"examples": {"a": "@0-1"}, "rest": "a"}, "names an example"),
        ({"examples": {"a": "@0-1"}, "rest": "../a"}, "cannot name a stem"),
        ({"examples": {"a": "@0-1"}, "n_free": -1}, "n_free"),
        ({"examples": ["a.wav"]}, "must be a mapping"),
        ({"score": 5}, "must be a file or a Score"),
        ({"examples": {"a": "@0-1"}, "quality": "best"}, "use high or fast"),
        ({"examples": {str(n): "@0-1" for n in range(64)}}, "too many"),
        ({"examples": {str(n): "@0-1" for n in range(65)}}, "too many"),
    ],
)
def test_settings_that_do_not_go_together(settings, words):
    with pytest.raises(UsageError, match=words):
        audiosep.Separator(**settings)


def test_the_record_tells_what_was_read_however_long_it_takes(folder, scene):
    low, high = (folder / f"{name}.wav" for name in ("low", "high"))
    separator = audiosep.Separator(examples={"low": low, "high": high}, **FAST)
    wanted = separator.settings()["examples"]

    def replaced(stage, fraction):
        if stage == "transform":  # the examples were heard
            soundfile.write(low, scene["high"], SR)
            high.unlink(missing_ok=True)

    result = separator.separate(folder / "mix.wav", progress=replaced)
    assert result.record["settings"]["examples"] == wanted


def test_a_dictionary_that_ends_below_the_recording(folder, scene):
    slow = Audio(samples=np.atleast_2d(scene["low"][::2]).copy(), sr=SR // 2)
    found = merge_dictionaries(
        tuple(learn([slow], label=name, n_components=3) for name in ("drums", "bass", "other"))
    )
    save_dictionary(found, folder / "slow.safetensors")
    result = audiosep.separate(
        folder / "mix.wav", preset="stems", dictionary=folder / "slow.safetensors", n_threads=1
    )
    words = "the dictionary ends at 4000 Hz and the recording at 8000 Hz"
    assert [warning for warning in result.record["warnings"] if words in warning]
