"""``audiosep evaluate``: what is paired with what, what is said, and the exit code."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest
from files import noise, write_sound

import audiosep
from audiosep.cli.evaluate import evaluate_paths
from audiosep.cli.pairing import pair_up, stem_name
from audiosep.cli.talk import Talk
from audiosep.errors import ExitCode, InputError, UsageError

SR = 8000
NAMES = ("drums", "bass", "other")


def stems(n_samples=SR, n_channels=2):
    return {name: noise(n_samples, n_channels, seed=i) for i, name in enumerate(NAMES)}


def write(folder, sounds, sr=SR, *, prefix="", ending=".wav"):
    folder.mkdir(exist_ok=True)
    for name, samples in sounds.items():
        kind = {".wav": "WAV", ".flac": "FLAC"}[ending]
        write_sound(folder / f"{prefix}{name}{ending}", samples, sr, format=kind)
    return folder


@pytest.fixture
def run(capsys):
    """Call the command; return its exit code, standard output and standard error."""

    def call(reference, estimate, *, mixture=None, bsseval=False, **talk):
        code = evaluate_paths(
            reference, estimate, mixture=mixture, bsseval=bsseval, talk=Talk(**talk)
        )
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def table(out):
    """Cells by stem and column."""
    heads, *lines = [line.split() for line in out.splitlines()]
    joined = " ".join(heads[1:]).replace("v4 ", "v4_").split()
    return {line[0]: dict(zip(joined, line[1:], strict=True)) for line in lines}


def lines_of(out):
    return [json.loads(line) for line in out.splitlines()]


# --- pairs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["drums.wav", "Drums.flac", "DRUMS.WAV", "ref_drums.wav", "est_drums.mp3"]
)
def test_one_stem_has_many_spellings(tmp_path, name):
    assert stem_name(tmp_path / name) == "drums"


def test_accents_are_the_same_however_they_are_written(tmp_path):
    assert stem_name(tmp_path / "che\u0301rie.wav") == stem_name(tmp_path / "ch\u00e9rie.wav")


def test_folders_are_paired_by_name(tmp_path, run):
    references = write(tmp_path / "ref", stems(), prefix="ref_", ending=".flac")
    estimates = write(tmp_path / "est", stems())
    code, out, err = run(references, estimates)
    assert (code, err) == (ExitCode.DONE, "")
    assert table(out).keys() == {*NAMES, "mean"}
    # libsndfile rounds differently for the two formats: by a step of 16 bits at most.
    assert min(float(row["SI-SDR"]) for row in table(out).values()) > 80.0


def test_two_files_are_a_pair_whatever_their_names(tmp_path, run):
    a = write_sound(tmp_path / "truth.wav", noise(seed=0))
    b = write_sound(tmp_path / "guess.wav", noise(seed=0) + noise(seed=1) / 8)
    code, out, err = run(a, b)
    assert (code, err) == (ExitCode.DONE, "")
    scores = table(out)["truth"]
    assert scores.keys() == {"SI-SDR", "SDR"}
    assert float(scores["SDR"]) == pytest.approx(18.06, abs=0.5)


def test_the_folder_of_a_separation_can_be_given_as_it_is(tmp_path, run):
    references = write(tmp_path / "ref", stems())
    mixture = write_sound(references / "mixture.wav", sum(stems().values()) / 4)
    result = audiosep.separate(mixture, preset="stems", n_threads=1)
    result.save(tmp_path / "out")
    code, out, _ = run(references, tmp_path / "out")
    assert code == ExitCode.DONE
    assert table(out)["drums"].keys() == {"SI-SDR", "gain", "oracle", "SDR", "SI-SIR", "SI-SAR"}


def test_of_two_references_of_one_name_the_marked_one_is_taken(tmp_path, run):
    references = write(tmp_path / "ref", stems(), prefix="ref_")
    write(references, {"train_drums": noise(), "mixture": sum(stems().values()) / 4})
    write_sound(references / "drums.wav", noise(seed=8))
    code, out, err = run(references, write(tmp_path / "est", stems()))
    assert (code, err) == (ExitCode.DONE, "")
    assert table(out).keys() == {*NAMES, "mean"}


def test_a_plain_reference_beside_marked_ones_counts_too(tmp_path, run):
    references = write(tmp_path / "ref", {"kick": noise(SR)}, prefix="ref_")
    write(references, {"hihat": noise(SR, seed=3)}, ending=".flac")
    estimates = write(tmp_path / "est", {"kick": noise(SR), "hihat": noise(SR, seed=3)})
    code, out, err = run(references, estimates)
    assert (code, err) == (ExitCode.DONE, "")
    assert table(out).keys() == {"kick", "hihat", "mean"}


def test_single_strokes_beside_the_stems_are_no_stems(tmp_path, run):
    references = write(tmp_path / "ref", stems())
    estimates = write(tmp_path / "est", stems())
    write(estimates, {"one-shot-drums-1": noise(80), "one-shot-drums-2": noise(90)})
    code, out, err = run(references, estimates)
    assert (code, err) == (ExitCode.DONE, "")
    assert table(out).keys() == {*NAMES, "mean"}


def test_single_strokes_do_not_keep_other_from_standing_for_the_rest(tmp_path, run):
    references = write(tmp_path / "ref", {"drums": noise(SR), "piano": noise(SR, seed=3)})
    estimates = write(tmp_path / "est", {"drums": noise(SR), "other": noise(SR, seed=3)})
    write(estimates, {"one-shot-kick-1": noise(80)})
    code, _, err = run(references, estimates)
    assert (code, err) == (ExitCode.DONE, "other is compared with piano.wav.\n")


def test_a_stroke_that_has_a_reference_is_compared(tmp_path, run):
    folder = write(tmp_path / "ref", {"one-shot-kick-1": noise(SR)})
    code, out, _ = run(folder, folder)
    assert code == ExitCode.DONE
    assert table(out).keys() == {"one-shot-kick-1"}


def test_other_stands_for_all_that_is_left(tmp_path, run):
    sounds = stems()
    parts = {"chords": sounds["other"] / 2, "tune": sounds["bass"] / 2, "drums": sounds["drums"]}
    references = write(tmp_path / "ref", parts)
    summed = (sounds["other"] + sounds["bass"]) / 2
    estimates = write(tmp_path / "est", {"drums": sounds["drums"], "other": summed})
    code, out, err = run(references, estimates)
    assert code == ExitCode.DONE
    assert "other is compared with the sum of chords.wav, tune.wav." in err
    assert float(table(out)["other"]["SDR"]) > 60.0
    code, out, _ = run(references, estimates, json_lines=True)
    entry = next(line for line in lines_of(out) if line.get("stem") == "other")
    assert len(entry["references"]) == 2


def test_other_may_stand_for_a_single_one(tmp_path, run):
    references = write(tmp_path / "ref", {"drums": noise(SR), "piano": noise(SR, seed=3)})
    estimates = write(tmp_path / "est", {"drums": noise(SR), "other": noise(SR, seed=3)})
    code, out, err = run(references, estimates)
    assert (code, err) == (ExitCode.DONE, "other is compared with piano.wav.\n")
    assert table(out)["other"]["SI-SDR"] == "300.00"


def test_several_stems_stand_for_the_accompaniment(tmp_path, run):
    sounds = stems()
    truth = {"vocals": noise(SR, seed=7) / 4, "accompaniment": sum(sounds.values()) / 4}
    references = write(tmp_path / "ref", truth)
    parts = {name: samples / 4 for name, samples in sounds.items()}
    estimates = write(tmp_path / "est", {"vocals": truth["vocals"], **parts})
    code, out, err = run(references, estimates)
    assert code == ExitCode.DONE
    assert "accompaniment is compared with the sum of bass.wav, drums.wav, other.wav." in err
    assert table(out).keys() == {"vocals", "accompaniment", "mean"}
    assert float(table(out)["accompaniment"]["SDR"]) > 60.0


def test_parts_that_cannot_be_added_up_are_refused(tmp_path, run):
    references = write(
        tmp_path / "ref", {"drums": noise(SR), "piano": noise(SR), "tune": noise(SR)}
    )
    write_sound(references / "tune.wav", noise(SR), 16000)
    estimates = write(tmp_path / "est", {"drums": noise(SR), "other": noise(SR)})
    code, out, err = run(references, estimates)
    assert code == ExitCode.SOME_FAILED
    assert "tune.wav has a rate of 16000 Hz" in err
    assert table(out).keys() == {"drums"}


def test_what_is_alone_is_said_and_the_rest_compared(tmp_path, run):
    references = write(tmp_path / "ref", {"drums": noise(SR), "piano": noise(SR, seed=3)})
    estimates = write(tmp_path / "est", {"drums": noise(SR), "guitar": noise(SR)})
    code, out, err = run(references, estimates)
    assert code == ExitCode.SOME_FAILED
    assert "piano.wav has no estimate: no file is named piano." in err
    assert "guitar.wav has no reference: no file is named guitar." in err
    assert table(out).keys() == {"drums"}
    assert "SI-SIR" in table(out)["drums"]  # the piano may interfere


def test_a_name_that_is_there_twice_is_not_guessed(tmp_path, run):
    references = write(tmp_path / "ref", stems())
    estimates = write(tmp_path / "est", stems())
    write(estimates, {"Drums": noise(SR)}, ending=".flac")
    code, out, err = run(references, estimates)
    assert code == ExitCode.SOME_FAILED
    assert "several files are named drums; keep one of them." in err
    assert table(out).keys() == {"bass", "other", "mean"}


def test_nothing_in_common(tmp_path, run):
    references = write(tmp_path / "ref", {"piano": noise(SR)})
    estimates = write(tmp_path / "est", {"drums": noise(SR), "guitar": noise(SR)})
    code, out, err = run(references, estimates)
    assert (code, out) == (ExitCode.ALL_FAILED, "")
    assert "nothing in" in err
    code, out, _ = run(references, estimates, json_lines=True)
    assert code == ExitCode.ALL_FAILED
    assert {(line["stem"], line["status"]) for line in lines_of(out)} == {
        ("piano", "failed"),
        ("drums", "failed"),
        ("guitar", "failed"),
    }


def test_a_folder_and_a_file_are_no_pair(tmp_path, run):
    folder = write(tmp_path / "ref", stems())
    with pytest.raises(UsageError, match="must be two folders of stems or two files"):
        run(folder, folder / "drums.wav")


def test_an_empty_folder_is_said(tmp_path, run):
    folder = write(tmp_path / "ref", stems())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty is a folder without recordings"):
        run(folder, tmp_path / "empty")


def test_an_error_is_a_line_of_json_too(tmp_path, run, capsys):
    folder = write(tmp_path / "ref", stems())
    for given, error in (
        ((tmp_path / "nope", folder), InputError),
        ((folder, folder / "drums.wav"), UsageError),
    ):
        with pytest.raises(error) as caught:
            run(*given, json_lines=True)
        line = {"stem": None, "status": "failed", "error": str(caught.value)}
        assert lines_of(capsys.readouterr().out) == [line]
        with pytest.raises(error):
            run(*given)
        assert capsys.readouterr().out == ""


def test_nothing_to_compare_is_a_line_of_json_too(tmp_path, run):
    folder = write(tmp_path / "ref", {"mixture": noise(SR)})
    code, out, _ = run(folder, folder, json_lines=True)
    assert code == ExitCode.ALL_FAILED
    assert [(line["stem"], line["status"]) for line in lines_of(out)] == [(None, "failed")]


def test_a_folder_that_is_not_there(tmp_path, run):
    folder = write(tmp_path / "ref", stems())
    for given in ((tmp_path / "a", folder), (folder, tmp_path / "a")):
        with pytest.raises(InputError, match="a does not exist"):
            run(*given)


# --- what does not fit -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "sr", "words"),
    [
        (noise(SR), 16000, "has a rate of 16000 Hz, its reference 8000 Hz; resample"),
        (noise(SR, 1), SR, "has 1 channel(s), its reference 2; fold"),
        (noise(SR + 800), SR, "is 1.100 s long, its reference 1.000 s; cut"),
        (noise(SR - 800), SR, "is 0.900 s long, its reference 1.000 s; cut"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused_and_the_others_compared(
    tmp_path, run, samples, sr, words
):
    references = write(tmp_path / "ref", stems())
    estimates = write(tmp_path / "est", stems())
    write_sound(estimates / "bass.wav", samples, sr)
    code, out, err = run(references, estimates)
    assert code == ExitCode.SOME_FAILED
    assert words in err
    assert "bass.wav" in err
    assert table(out).keys() == {"drums", "other", "mean"}


def test_the_reference_of_a_pair_that_does_not_fit_interferes_all_the_same(tmp_path, run):
    sounds = {name: noise(SR, seed=i) for i, name in enumerate(("drums", "bass"))}
    references = write(tmp_path / "ref", sounds)
    leaky = sounds["drums"] / 2 + sounds["bass"] / 20
    estimates = write(tmp_path / "est", {"drums": leaky, "bass": noise(SR, 1)})
    code, out, _ = run(references, estimates)
    assert code == ExitCode.SOME_FAILED
    assert float(table(out)["drums"]["SI-SIR"]) == pytest.approx(20.0, abs=0.5)


def test_references_that_fit_nothing_are_not_told_twice_what_to_do(tmp_path, run):
    references = write(tmp_path / "ref", stems())
    write(references, {"piano": noise(2 * SR), "tune": noise(3 * SR)})
    code, out, err = run(references, write(tmp_path / "est", stems()))
    assert code == ExitCode.SOME_FAILED
    assert "piano.wav has no estimate" in err
    assert "cut them" not in err
    (warning,) = (line for line in err.splitlines() if "warning" in line)
    assert "piano.wav" in warning
    assert "tune.wav: of another rate, shape or length" in warning
    assert table(out).keys() == {*NAMES, "mean"}


def test_references_that_do_not_fit_each_other(tmp_path, run):
    sounds = stems()
    references, estimates = (write(tmp_path / f, sounds) for f in ("ref", "est"))
    for folder in (references, estimates):
        write_sound(folder / "other.wav", noise(SR), 16000)
    code, out, err = run(references, estimates)
    assert code == ExitCode.SOME_FAILED
    assert "other.wav has a rate of 16000 Hz, the stems before it 8000 Hz" in err
    assert table(out).keys() == {"drums", "bass", "mean"}


@pytest.mark.parametrize("difference", [-799, -1, 1, 799])
def test_a_small_difference_in_length_is_said_and_cut(tmp_path, run, difference):
    samples = noise(SR + 800)
    reference = write_sound(tmp_path / "a.wav", samples[:, :SR])
    estimate = write_sound(tmp_path / "b.wav", samples[:, : SR + difference])
    code, out, err = run(reference, estimate)
    assert code == ExitCode.DONE
    assert f"differ by {abs(difference)} samples in length; what both have is compared." in err
    assert table(out)["a"]["SI-SDR"] == "300.00"


def test_an_estimate_that_cannot_be_read(tmp_path, run):
    references = write(tmp_path / "ref", stems())
    estimates = write(tmp_path / "est", stems())
    (estimates / "bass.wav").write_bytes(b"RIFFnothing")
    code, out, err = run(references, estimates)
    assert code == ExitCode.SOME_FAILED
    assert "bass.wav has a damaged header" in err
    assert table(out).keys() == {"drums", "other", "mean"}
    code, out, err = run(references, estimates, json_lines=True)
    failed = [line for line in lines_of(out) if line.get("status") == "failed"]
    assert [line["stem"] for line in failed] == ["bass"]
    assert "damaged header" in failed[0]["error"]
    assert err == ""


def test_a_reference_without_estimate_that_cannot_be_read_is_left_out(tmp_path, run):
    references = write(tmp_path / "ref", stems())
    estimates = write(tmp_path / "est", {name: stems()[name] for name in ("drums", "bass")})
    (references / "other.wav").write_bytes(b"RIFFnothing")
    code, out, err = run(references, estimates)
    assert code == ExitCode.SOME_FAILED
    assert "left out of SI-SIR, SI-SAR and oracle" in err
    assert table(out).keys() == {"drums", "bass", "mean"}


# --- the mixture -----------------------------------------------------------------------------


def test_with_a_mixture_there_is_a_gain_and_a_ceiling(tmp_path, run):
    sounds = stems()
    mixture = write_sound(tmp_path / "mix.wav", sum(sounds.values()) / 4)
    references = write(tmp_path / "ref", {name: s / 4 for name, s in sounds.items()})
    estimates = write(tmp_path / "est", dict.fromkeys(sounds, sum(sounds.values()) / 4))
    _, out, _ = run(references, estimates, mixture=mixture)
    for name in NAMES:
        assert float(table(out)[name]["gain"]) == pytest.approx(0.0, abs=0.01)
        assert float(table(out)[name]["oracle"]) > float(table(out)[name]["SI-SDR"])
    _, out, _ = run(references, estimates)
    assert "gain" not in table(out)["drums"]


def test_a_mixture_among_the_references_is_no_stem(tmp_path, run):
    references = write(
        tmp_path / "ref", {**stems(), "Mixture": sum(stems().values()) / 4}, ending=".flac"
    )
    estimates = write(tmp_path / "est", {**stems(), "mixture": noise(SR)})
    code, out, err = run(references, estimates)
    assert (code, err) == (ExitCode.DONE, "")
    assert "gain" in table(out)["drums"]
    assert table(out).keys() == {*NAMES, "mean"}


def test_what_the_references_leave_of_the_mixture_is_said(tmp_path, run):
    sounds = {name: samples / 4 for name, samples in stems().items()}
    mixture = write_sound(tmp_path / "mix.wav", sum(sounds.values()))
    drums = write(tmp_path / "ref", {"drums": sounds["drums"]}) / "drums.wav"
    guess = write_sound(tmp_path / "guess.wav", sounds["drums"] + sounds["bass"] / 10)
    code, out, err = run(drums, guess, mixture=mixture)
    assert code == ExitCode.DONE
    assert "do not add up to the mixture: what is left of it, at -1.7 dB, counts as one" in err
    row = table(out)["drums"]
    assert row.keys() == {"SI-SDR", "gain", "oracle", "SDR", "SI-SIR", "SI-SAR"}
    assert -3.0 < float(row["oracle"]) < 20.0
    _, out, _ = run(drums, guess, mixture=mixture, json_lines=True)
    assert lines_of(out)[-1]["rest_db"] == pytest.approx(-1.76, abs=0.1)


def test_a_mixture_that_does_not_fit_is_an_error(tmp_path, run):
    folder = write(tmp_path / "ref", stems())
    mixture = write_sound(tmp_path / "mix.wav", noise(SR), 16000)
    with pytest.raises(InputError, match=r"mix.wav has a rate of 16000 Hz, the stems 8000 Hz"):
        run(folder, folder, mixture=mixture)


def test_a_mixture_that_was_only_found_is_left_out_if_it_does_not_fit(tmp_path, run):
    folder = write(tmp_path / "ref", stems())
    write_sound(folder / "mixture.wav", noise(SR), 16000)
    code, out, err = run(folder, folder)
    assert code == ExitCode.DONE
    assert "mixture.wav has a rate of 16000 Hz" in err
    assert "There is no gain and no oracle." in err
    assert "gain" not in table(out)["drums"]


# --- what is printed -------------------------------------------------------------------------


def test_json_has_every_number_of_every_stem(tmp_path, run):
    references = write(tmp_path / "ref", stems())
    write_sound(references / "mixture.wav", sum(stems().values()) / 4)
    sounds = {name: s / 2 + noise(SR, seed=9) / 8 for name, s in stems().items()}
    code, out, err = run(references, write(tmp_path / "est", sounds), json_lines=True)
    assert (code, err) == (ExitCode.DONE, "")
    *entries, last = lines_of(out)
    assert {entry["stem"] for entry in entries} == set(NAMES)
    for entry in entries:
        assert (entry["status"], entry["error"], entry["bsseval"]) == ("done", None, None)
        assert entry["references"][0].endswith(f"{entry['stem']}.wav")
        assert entry["reference_is_silent"] is False
        for measure in ("si_sdr_db", "sdr_db", "si_sir_db", "si_sar_db", "level_dbfs"):
            assert math.isfinite(entry[measure])
    assert last["n_stems"] == 3
    for measure in ("si_sdr_db", "improvement_db", "oracle_db"):
        mean = np.mean([entry[measure] for entry in entries])
        assert last["mean"][measure] == pytest.approx(mean, abs=1e-3)


def test_a_silent_reference_is_said(tmp_path, run):
    sounds = stems()
    references = write(tmp_path / "ref", {**sounds, "bass": 0 * sounds["bass"]})
    estimates = write(tmp_path / "est", {**sounds, "drums": 0 * sounds["drums"]})
    code, out, _ = run(references, estimates)
    assert code == ExitCode.DONE
    line = next(line for line in out.splitlines() if line.startswith("bass"))
    assert "the reference is silent, the estimate at -10." in line
    _, out, _ = run(references, estimates, json_lines=True)
    by_name = {line["stem"]: line for line in lines_of(out)[:-1]}
    assert by_name["bass"]["si_sdr_db"] is None
    assert by_name["drums"]["si_sdr_db"] == -300.0
    assert by_name["drums"]["level_dbfs"] is None


def test_details_explain_the_columns(tmp_path, run):
    folder = write(tmp_path / "ref", stems())
    _, _, err = run(folder, folder, verbose=True)
    assert "SI-SDR: wanted part" in err
    assert "v4" not in err


def test_odd_names_are_printed_safely(tmp_path, run):
    folder = write(tmp_path / "ref", {"dr\nums": noise(SR), "b\u001b[31m": noise(SR, seed=1)})
    code, out, _ = run(folder, folder)
    assert code == ExitCode.DONE
    assert "\x1b" not in out
    assert "dr\\nums" in out


# --- BSSEval ---------------------------------------------------------------------------------


def test_bsseval_has_its_own_columns(tmp_path, run):
    sounds = {name: noise(SR, 1, seed=i) for i, name in enumerate(("drums", "bass"))}
    leaky = {name: s / 2 + sounds["bass"] / 8 for name, s in sounds.items()}
    references, estimates = write(tmp_path / "ref", sounds), write(tmp_path / "est", leaky)
    code, out, _ = run(references, estimates, bsseval=True)
    assert code == ExitCode.DONE
    assert float(table(out)["drums"]["v4_SIR"]) == pytest.approx(12.0, abs=1.5)
    _, _, err = run(references, estimates, bsseval=True, verbose=True)
    assert "v4: BSSEval version 4" in err
    _, out, _ = run(references, estimates, bsseval=True, json_lines=True)
    *entries, last = lines_of(out)
    assert entries[0]["bsseval"].keys() == {"sdr_db", "isr_db", "sir_db", "sar_db"}
    assert last["mean"]["bsseval.sdr_db"] is not None


def test_without_museval_the_error_names_the_extra(tmp_path, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "museval", None)
    folder = write(tmp_path / "ref", stems())
    with pytest.raises(UsageError, match=r"audiosep\[evaluate\]"):
        run(folder, folder, bsseval=True)


def test_pairs_of_a_pairing(tmp_path):
    references = write(tmp_path / "ref", stems())
    pairing = pair_up(references, write(tmp_path / "est", stems()))
    assert {pair.name for pair in pairing.pairs} == set(NAMES)
    assert pairing.mixture is None
    assert pairing.references == pairing.estimates == pairing.ambiguous == ()
