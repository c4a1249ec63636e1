"""Pictures: what they show is what is there, whatever is looked at."""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import scenes
from matplotlib.figure import Figure
from shown import ODD, SR, audio_of, factorization_of, separation_of

import audiosep
from audiosep.errors import ParameterError, UsageError
from audiosep.plots import levels as plot_levels
from audiosep.plots.factorizations import order_of
from audiosep.plots.grids import MOST_COLUMNS, Steps, grid_of
from audiosep.plots.levels import decibels, levels_of_audio
from audiosep.types import Grouping, Melody, Onsets


@pytest.fixture(scope="module")
def band():
    return separation_of(scenes.band(SR, 2.0))


def drawn(artist):
    """Levels (rows, columns) of what was drawn, with the edges of its cells in s and Hz."""
    values = np.asarray(artist.get_array())
    corners = artist.get_coordinates()
    values = values.reshape(corners.shape[0] - 1, corners.shape[1] - 1)
    return values, corners[0, :, 0], corners[:, 0, 1]


def cell(edges, place):
    return int(np.searchsorted(edges, place, side="right")) - 1


# Spectrograms


@pytest.mark.parametrize("y_axis", ["log", "mel", "linear"])
def test_a_tone_is_where_it_sounds(y_axis):
    t = scenes.time_axis(SR, 2.0)
    tone = np.where((t > 0.5) & (t < 1.0), np.sin(2 * np.pi * 1000 * t), 0.0)
    artist = audiosep.plot_spectrogram(audio_of(tone), y_axis=y_axis)
    levels, edges_s, edges_hz = drawn(artist)
    row, column = np.unravel_index(levels.argmax(), levels.shape)
    assert edges_hz[row] <= 1000 <= edges_hz[row + 1]
    assert 0.5 < edges_s[column] < 1.0
    assert levels.max() == 0.0
    assert levels[:, cell(edges_s, 1.5)].max() == -80.0
    assert levels[cell(edges_hz, 3000), cell(edges_s, 0.75)] < -60
    ax = artist.axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("s", "Hz")
    assert ax.get_xlim() == (0.0, 2.0)
    assert ax.get_ylim()[1] == SR / 2
    artist.figure.canvas.draw()
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert "1k" in labels


def test_levels_and_places_are_those_of_librosa():
    # As librosa.amplitude_to_db(magnitudes, ref=np.max, top_db=40) and librosa.fft_frequencies
    # define them; importing it would take longer than all of these tests.
    magnitudes = np.abs(np.random.default_rng(0).standard_normal((65, 30)))
    levels, edges_s, edges_hz = drawn(
        audiosep.plot_spectrogram(magnitudes, sr=SR, y_axis="linear", top_db=40.0)
    )
    expected = np.maximum(20 * np.log10(magnitudes / magnitudes.max()), -40.0)
    np.testing.assert_allclose(levels, expected, atol=1e-9)
    centres_hz, centres_s = np.arange(65) * SR / 128, np.arange(30) * 32 / SR
    assert ((edges_hz[:-1] <= centres_hz) & (centres_hz <= edges_hz[1:])).all()
    assert ((edges_s[:-1] <= centres_s) & (centres_s <= edges_s[1:])).all()


def test_a_recording_its_transform_and_an_array_look_alike():
    audio = audio_of(scenes.mixture(scenes.band(SR, 1.0)))
    spectrogram = audiosep.stft(audio, window="hann")
    by_audio = drawn(audiosep.plot_spectrogram(audio))
    by_stft = drawn(audiosep.plot_spectrogram(spectrogram))
    by_array = drawn(audiosep.plot_spectrogram(spectrogram.values[0], sr=SR))
    for other in (by_stft, by_array):
        np.testing.assert_allclose(other[0], by_audio[0], atol=1e-3)
        np.testing.assert_allclose(other[2], by_audio[2])
    np.testing.assert_allclose(by_stft[1], by_audio[1])


def test_channels_count_alike_whatever_their_order_and_sign():
    left, right = scenes.two_notes(SR, 1.0).values()
    one = drawn(audiosep.plot_spectrogram(audio_of([left, right])))[0]
    other = drawn(audiosep.plot_spectrogram(audio_of([-right, left])))[0]
    np.testing.assert_allclose(one, other, atol=1e-4)
    stft = audiosep.stft(audio_of([left, right]), window="hann")
    np.testing.assert_allclose(drawn(audiosep.plot_spectrogram(stft))[0], one, atol=1e-3)
    by_array = drawn(audiosep.plot_spectrogram(stft.values, sr=SR))[0]
    np.testing.assert_allclose(by_array, one, atol=1e-3)


def test_reference_and_range():
    magnitudes = np.array([[1.0, 0.1], [0.01, 1e-9]])
    levels, _, _ = drawn(audiosep.plot_spectrogram(magnitudes, y_axis="linear", ref=10.0))
    np.testing.assert_allclose(levels, [[-20, -40], [-60, -80]])
    artist = audiosep.plot_spectrogram(magnitudes, y_axis="linear", ref=0.1, top_db=30)
    assert artist.get_clim() == pytest.approx((-10.0, 20.0))
    np.testing.assert_allclose(drawn(artist)[0], [[20, 0], [-10, -10]])
    artist = audiosep.plot_spectrogram(magnitudes, y_axis="linear", ref=np.median)
    assert drawn(artist)[0][0, 1] == pytest.approx(20 * np.log10(0.1 / 0.055))


def test_without_a_rate_bins_and_frames_are_counted():
    artist = audiosep.plot_spectrogram(np.ones((9, 5)))
    assert (artist.axes.get_xlabel(), artist.axes.get_ylabel()) == ("frame", "bin")
    assert artist.axes.get_xlim() == (0.0, 5.0)
    assert artist.axes.get_ylim() == (0.5, 8.0)


@pytest.mark.parametrize("samples", ODD.values(), ids=ODD)
@pytest.mark.parametrize("y_axis", ["log", "mel", "linear"])
def test_odd_recordings_are_drawn(samples, y_axis):
    artist = audiosep.plot_spectrogram(audio_of(samples), y_axis=y_axis)
    levels, edges_s, edges_hz = drawn(artist)
    assert np.isfinite(levels).all()
    assert levels.max() == (0.0 if samples.any() else -80.0)
    assert (np.diff(edges_s) > 0).all()
    assert (np.diff(edges_hz) > 0).all()


@pytest.mark.parametrize("sr", [100, 4_000_000])
def test_odd_rates_are_drawn(sr):
    artist = audiosep.plot_spectrogram(audio_of(np.sin(np.arange(5000.0)), sr))
    levels, _, edges_hz = drawn(artist)
    assert edges_hz[-1] == sr / 2
    row = levels.max(axis=1).argmax()
    assert edges_hz[row] <= sr / (2 * np.pi) <= edges_hz[row + 1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 1), (3, 4)])
def test_small_arrays_are_drawn(shape):
    for y_axis in ("log", "mel", "linear"):
        levels, _, _ = drawn(audiosep.plot_spectrogram(np.ones(shape), sr=SR, y_axis=y_axis))
        assert (levels == 0).all()


def test_a_click_in_a_long_recording_keeps_its_level():
    samples = np.zeros(SR * 200, dtype=np.float32)  # 6250 frames
    samples[SR * 77] = 1.0
    levels, edges_s, _ = drawn(audiosep.plot_spectrogram(audio_of(samples)))
    assert levels.shape[1] == MOST_COLUMNS
    column = levels.max(axis=0).argmax()
    assert edges_s[column] - 0.1 <= 77 <= edges_s[column + 1] + 0.1
    assert levels.max() == 0.0


def test_hours_are_looked_at_in_places_only(monkeypatch):
    asked = []

    def count(samples, first, last, **others):
        asked.append(last - first)
        return np.ones((last - first, 33))

    monkeypatch.setattr(plot_levels, "stft_frames", count)
    n_frames = 1_000_000
    grid = grid_of(33, n_frames, Steps(bin_hz=1.0, frame_s=0.01), "linear")
    levels = levels_of_audio(audio_of(np.zeros(10)), grid, n_fft=64, hop_length=16)
    assert sum(asked) == 8 * MOST_COLUMNS
    assert (levels == 1.0).all()


def test_time_is_written_as_on_a_clock():
    def labels(duration_s):
        artist = audiosep.plot_spectrogram(
            np.ones((2, 10)), sr=100, n_fft=100, hop_length=round(10 * duration_s)
        )
        artist.figure.canvas.draw()
        ax = artist.axes
        return ax.get_xlabel(), [text.get_text() for text in ax.get_xticklabels()]

    unit, marks = labels(240)
    assert unit == "min:s"
    assert "2:00" in marks
    unit, marks = labels(4 * 3600)
    assert unit == "h:min:s"
    assert "2:00:00" in marks


def test_it_draws_into_given_axes():
    figure = Figure()
    first, second = figure.subplots(2)
    artist = audiosep.plot_spectrogram(np.ones((5, 5)), ax=second)
    assert artist.axes is second
    assert len(figure.axes) == 2
    assert not first.collections
    assert not hasattr(artist, "_repr_png_")


def test_pyplot_is_left_alone():
    code = (
        "import sys, numpy as np, audiosep\n"
        "before = set(sys.modules)\n"
        "a = audiosep.Audio(samples=np.ones((1, 4000), np.float32), sr=8000)\n"
        "audiosep.plot_spectrogram(a).figure.savefig(sys.argv[1])\n"
        "print('matplotlib.pyplot' in sys.modules, 'matplotlib' in before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "/dev/null" if sys.platform != "win32" else "nul"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("False False", 0), done.stderr


def test_settings_of_the_user_stay():
    # To look at the backend would choose one.
    before = {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}
    audiosep.plot_spectrogram(np.ones((5, 5))).figure.canvas.draw()
    assert {name: mpl.rcParams[name] for name in before} == before


@pytest.mark.parametrize(
    ("given", "settings", "error", "words"),
    [
        (np.ones(5), {}, ParameterError, "no spectrogram; give"),
        (np.ones((0, 5)), {}, ParameterError, "no spectrogram"),
        (np.array([["a"]]), {}, ParameterError, "no spectrogram"),
        (-np.ones((3, 3)), {}, ParameterError, "never negative; where these are decibels"),
        (np.full((3, 3), np.nan), {}, ParameterError, "NaN"),
        (np.ones((3, 3)), {"y_axis": "cqt"}, ParameterError, "use log, mel, linear"),
        (np.ones((3, 3)), {"top_db": 0}, ParameterError, "above zero"),
        (np.ones((3, 3)), {"top_db": "80"}, ParameterError, "above zero"),
        (np.ones((3, 3)), {"ref": -1.0}, ParameterError, "magnitude above zero"),
        (np.ones((3, 3)), {"ref": 0.0}, ParameterError, "magnitude above zero"),
        (np.ones((3, 3)), {"ref": "max"}, ParameterError, "magnitude above zero"),
        (np.ones((3, 3)), {"cmap": "rainbows"}, ParameterError, "unknown colour map 'rainbows'"),
        (np.ones((3, 3)), {"ax": np.ones(2)}, ParameterError, "not ndarray; of an array"),
        (np.ones((3, 3)), {"n_fft": 4}, UsageError, "give sr, too"),
        (np.ones((3, 3)), {"sr": 0}, ParameterError, "sr=0"),
        (audio_of(np.ones(99)), {"sr": SR}, UsageError, "leave out sr"),
        (audio_of(np.ones(99)), {"n_fft": 15, "hop_length": 99}, ParameterError, "hop_length"),
        (audiosep.stft(audio_of(np.ones(99))), {"n_fft": 16}, UsageError, "leave them out"),
    ],
)
def test_what_cannot_be_drawn_is_told(given, settings, error, words):
    with pytest.raises(error, match=words):
        audiosep.plot_spectrogram(given, **settings)


def test_without_matplotlib_the_extra_is_named():
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "import numpy as np, audiosep\n"
        "a = audiosep.Audio(samples=np.ones((1, 8000), np.float32), sr=8000)\n"
        "shown = a._repr_html_()\n"
        "print('<audio' in shown, '<img' in shown, 'audiosep[plot]' in shown)\n"
        "audiosep.plot_spectrogram(a)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True False True"
    assert "pip install 'audiosep[plot]'" in done.stderr.splitlines()[-1]


# Separations


def test_all_panels_share_time_frequency_and_level(band):
    figure = band.plot()
    panels = [ax for ax in figure.axes if ax.collections and ax.get_title(loc="left")]
    assert [ax.get_title(loc="left") for ax in panels] == ["mixture", "bass", "chords", "drums"]
    assert {ax.collections[0].get_clim() for ax in panels} == {(-80.0, 0.0)}
    assert len({ax.get_xlim() for ax in panels}) == len({ax.get_ylim() for ax in panels}) == 1
    levels = [drawn(ax.collections[0])[0] for ax in panels]
    assert levels[0].max() == 0.0
    drums, bass = levels[3], levels[1]
    high = cell(drawn(panels[0].collections[0])[2], 3000)
    assert drums[high:].max() > bass[high:].max() + 20


def test_a_quieter_stem_is_darker(band):
    stems = {name: stem.samples for name, stem in band.stems.items()}
    soft = separation_of({**stems, "bass": 0.01 * stems["bass"]})
    panels = [
        drawn(s.plot().axes[1].collections[0])[0].max()
        - drawn(s.plot().axes[0].collections[0])[0].max()
        for s in (band, soft)
    ]
    assert panels[0] - panels[1] > 30


def test_what_was_heard_is_drawn(band):
    times = np.arange(20) / 10
    melody = Melody(
        times_s=times, f0_hz=np.where(times < 1, 220.0, 0.0), strengths=np.ones(20) * 0.5
    )
    onsets = Onsets(
        times_s=np.array([0.25, 0.5, 1.0]), labels=("b", "a", "b"), strengths=np.ones(3)
    )
    stems = {"vocals": np.ones(2 * SR), "b": np.ones(2 * SR)}
    found = separation_of(stems, melody=melody, onsets=onsets)
    mixture, vocals, b = found.plot().axes[:3]
    assert not mixture.lines
    (line,) = (x for x in vocals.lines if len(x.get_xdata()))
    np.testing.assert_array_equal(line.get_ydata(), np.where(times < 1, 220.0, np.nan))
    (marks,) = b.lines
    np.testing.assert_array_equal(marks.get_xdata(), [0.25, 1.0])
    assert not any(ax.lines for ax in found.plot(evidence=False).axes[:3])


@pytest.mark.parametrize("n_stems", [1, 9, 20])
def test_any_number_of_stems(n_stems):
    stems = {f"source-{i}": np.sin(np.arange(800.0) * (i + 1) / 9) for i in range(n_stems)}
    figure = separation_of(stems).plot()
    assert sum(bool(ax.get_title(loc="left")) for ax in figure.axes) == n_stems + 1
    width, height = figure.get_size_inches()
    assert max(width, height) < 30


@pytest.mark.parametrize("samples", ODD.values(), ids=ODD)
def test_odd_separations_are_drawn(samples):
    panels = separation_of({"one": samples / 2, "two": samples / 2}).plot().axes[:3]
    assert all(np.isfinite(drawn(ax.collections[0])[0]).all() for ax in panels)


def test_silence_is_painted():
    nothing = separation_of({"one": ODD["silence"], "two": ODD["silence"]})
    assert nothing.plot()._repr_png_().startswith(b"\x89PNG")


def test_names_are_no_formulas():
    figure = separation_of({"$x^2$_{": np.ones(900), "a\nb\x1b[31m": np.ones(900)}).plot()
    figure.savefig(io.BytesIO(), format="png", dpi=20)
    assert figure.axes[1].get_title(loc="left") == "$x^2$_{"
    assert "\n" not in figure.axes[2].get_title(loc="left")


def test_figures_are_shown_by_notebooks(band):
    png = band.plot()._repr_png_()
    assert png.startswith(b"\x89PNG")
    artist = audiosep.plot_spectrogram(band.mixture)
    assert artist._repr_png_().startswith(b"\x89PNG")


# Factorizations


def test_components_are_sorted_by_their_mean_frequency():
    W = np.eye(6)[:, [5, 0, 3]] + 1e-3
    np.testing.assert_array_equal(order_of(W), [1, 2, 0])
    grouping = Grouping(
        weights=np.array([[1.0, 0], [0, 1.0], [1.0, 0]]), names=("a", "b"), confidence=np.ones(2)
    )
    np.testing.assert_array_equal(order_of(W, grouping), [2, 0, 1])


def test_templates_and_activations_are_drawn_in_one_order():
    W = np.eye(64)[:, [40, 10]]
    H = np.zeros((2, 30))
    H[0, 5], H[1, 20] = 1.0, 0.1
    figure = factorization_of(W, H).plot(sr=SR, hop_length=100, y_axis="linear")
    left, right = figure.axes[:2]
    spectra, _, edges_hz = drawn(left.collections[0])
    assert [text.get_text() for text in left.get_xticklabels()] == ["2", "1"]
    peaks_hz = edges_hz[spectra.argmax(axis=0)]
    bin_hz = SR / 126
    np.testing.assert_allclose(peaks_hz, [9.5 * bin_hz, 39.5 * bin_hz])
    gains, edges_s, _ = drawn(right.collections[0])
    assert gains[0].argmax() == 20
    assert gains[1].argmax() == 5
    assert gains[0, 20] == pytest.approx(-20.0)
    assert edges_s[20] == pytest.approx(19.5 * 100 / SR)
    assert (left.get_ylabel(), right.get_xlabel()) == ("Hz", "s")


def test_stems_of_components_are_named():
    grouping = Grouping(
        weights=np.array([[1.0, 0], [0, 1.0], [1.0, 0]]),
        names=("low", "$h$"),
        confidence=np.ones(2),
    )
    figure = factorization_of(np.eye(9)[:, [1, 8, 2]], np.ones((3, 4))).plot(grouping=grouping)
    figure.savefig(io.BytesIO(), format="png", dpi=20)
    words = {text.get_text() for ax in figure.axes for text in ax.get_yticklabels()}
    assert {"low", "$h$"} <= words
    with pytest.raises(ParameterError, match="one of 3 components, not of these 2"):
        factorization_of(np.eye(9)[:, :2], np.ones((2, 4))).plot(grouping=grouping)


@pytest.mark.parametrize(
    ("n_bins", "K", "n_frames"), [(1, 1, 1), (3, 1, 1), (5, 300, 2), (900, 3, 5000)]
)
def test_factorizations_of_any_size(n_bins, K, n_frames):
    rng = np.random.default_rng(0)
    made = factorization_of(rng.random((n_bins, K)), rng.random((K, n_frames)))
    figure = made.plot(sr=SR)
    assert drawn(figure.axes[1].collections[0])[0].shape == (K, min(n_frames, MOST_COLUMNS))


def test_a_silent_factorization():
    made = factorization_of(np.zeros((5, 2)), np.zeros((2, 4)))
    gains = drawn(made.plot().axes[1].collections[0])[0]
    assert (gains == -60).all()


def test_levels():
    np.testing.assert_allclose(decibels(np.array([1.0, 0.1, 0.0]), 1.0, -60.0), [0.0, -20.0, -60.0])
    assert (decibels(np.zeros(3), 0.0, -60.0) == -60.0).all()
