"""Drum recordings whose pieces are known: synthesised hits, played by a person, in a room.

The sounds share no code and no parameters with those the built-in patches are learnt from: heads
are sums of damped modes of a membrane, wires and metal are noise through resonances. Every hit is
new: its pitch, its decay, its brightness and its noise differ from the last.
"""

from __future__ import annotations

import numpy as np

MEMBRANE = (1.0, 1.59, 2.14, 2.3, 2.65, 2.92)
"""Modes of an ideal circular membrane, relative to the lowest."""

PATTERNS = {
    "kick": "x.....x.x.......",
    "snare": "....x.......x..x",
    "hihat": "x.x.x.x.x.x.x.x.",
    "tom": "................",
    "cymbal": "................",
}
FILL = {"kick": "x.......x.......", "snare": "....x...........", "tom": "..........xxx.xx"}
LEVELS_DB = {"kick": 0.0, "snare": -2.0, "hihat": -9.0, "tom": -3.0, "cymbal": -4.0}


def modes(t, hz, decay_s, gains, bend=0.0):
    """Damped modes; high ones die sooner, and the pitch falls by the share `bend` at first."""
    phase = 2 * np.pi * hz * (t + bend * 0.03 * (1 - np.exp(-t / 0.03)))
    return sum(
        g * np.sin(ratio * phase + i) * np.exp(-6.9 * t * ratio**0.7 / decay_s)
        for i, (g, ratio) in enumerate(zip(gains, MEMBRANE, strict=False))
    )


def coloured(rng, n, sr, low_hz, high_hz, order=3):
    """Noise between two frequencies, with soft shoulders."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / sr)
    shape = 1 / (1 + (low_hz / np.maximum(hz, 1e-3)) ** (2 * order))
    return np.fft.irfft(spectrum * shape / (1 + (hz / high_hz) ** (2 * order)), n)


def kick(rng, sr):
    t = np.arange(round(0.4 * sr)) / sr
    head = modes(t, rng.normal(57, 1), rng.normal(0.3, 0.02), (1, 0.25, 0.1), bend=1.2)
    beater = coloured(rng, len(t), sr, 300, 2500) * np.exp(-t / 0.004)
    return head + rng.uniform(0.2, 0.35) * beater


def snare(rng, sr):
    t = np.arange(round(0.3 * sr)) / sr
    head = modes(t, rng.normal(192, 3), 0.16, (1, 0.7, 0.4, 0.3, 0.2), bend=0.15)
    wires = coloured(rng, len(t), sr, 500, rng.uniform(3500, 5000), 1)
    return 0.8 * head + rng.uniform(1.6, 2.2) * wires * np.exp(-t / rng.normal(0.045, 0.004))


def hihat(rng, sr):
    t = np.arange(round(0.15 * sr)) / sr
    top = min(12000.0, 0.48 * sr)
    noise = coloured(rng, len(t), sr, 3800, top)
    return noise * (np.exp(-t / 0.006) + 0.5 * np.exp(-t / rng.normal(0.03, 0.004)))


def tom(rng, sr):
    t = np.arange(round(0.6 * sr)) / sr
    head = modes(t, rng.choice([118, 150]) + rng.normal(0, 1), 0.55, (1, 0.5, 0.2, 0.2), bend=0.3)
    return head + 0.25 * coloured(rng, len(t), sr, 400, 3000) * np.exp(-t / 0.008)


def cymbal(rng, sr):
    t = np.arange(round(1.5 * sr)) / sr
    partials = np.exp(rng.uniform(np.log(500), np.log(0.45 * sr), 40))
    ringing = sum(np.sin(2 * np.pi * f * t + 6 * rng.random()) for f in partials) / 6
    wash = coloured(rng, len(t), sr, 1200, 0.48 * sr, 1)
    return (ringing + 1.5 * wash) * (1 - np.exp(-t / 0.004)) * np.exp(-t / 0.5)


SOUNDS = {"kick": kick, "snare": snare, "hihat": hihat, "tom": tom, "cymbal": cymbal}


def played(sr=16000, duration=4.0, *, pieces=("kick", "snare", "hihat"), human=True, seed=0):
    """Some bars at 120 to the minute.

    Returns
    -------
    stems : dict of str to np.ndarray [shape=(n_samples,)]
    times : dict of str to list of float
        When each piece was struck, in seconds.
    """
    rng = np.random.default_rng(seed)
    n = round(sr * duration)
    stems = {piece: np.zeros(n) for piece in pieces}
    times = {piece: [] for piece in pieces}
    step_s = 0.125
    for step in range(int((duration - 0.2) / step_s)):
        filling = "tom" in pieces and (step // 16) % 2 == 1
        for piece in pieces:
            pattern = PATTERNS[piece] if not filling else FILL.get(piece, PATTERNS[piece])
            struck = pattern[step % 16] == "x"
            if piece == "cymbal":
                struck = step % 16 in (0, 6)
            if not struck:
                continue
            at = 0.05 + step * step_s + (rng.normal(0, 0.006) if human else 0.0)
            sound = SOUNDS[piece](rng if human else np.random.default_rng(7), sr)
            gain = (0.7 + 0.3 * (step % 4 == 0)) * (10 ** (rng.normal(0, 2) / 20) if human else 1)
            first = max(0, round(at * sr))
            last = min(n, first + len(sound))
            stems[piece][first:last] += gain * sound[: last - first]
            times[piece].append(first / sr)
    reference = np.sqrt(np.mean(stems["kick"] ** 2)) if "kick" in pieces else 0.1
    for piece, stem in stems.items():
        level = np.sqrt(np.mean(stem**2)) or 1.0
        stem *= reference / level * 10 ** (LEVELS_DB[piece] / 20)
    peak = np.abs(sum(stems.values())).max()
    return {piece: (0.8 / peak * stem).astype(np.float32) for piece, stem in stems.items()}, times


def in_a_room(stems, sr=16000, *, seed=0):
    """The same through two microphones: bleed from the others' ones, and a room that decays."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(0.4 * sr)) / sr
    out = {}
    for index, (piece, stem) in enumerate(stems.items()):
        side = 0.3 * (index % 3 - 1)
        channels = []
        for gain in (1 - side, 1 + side):
            response = rng.standard_normal(len(t)) * np.exp(-6.9 * t / 0.35)
            response[: round(0.004 * sr)] = 0
            response *= 10 ** (-12 / 20) / np.sqrt(np.sum(response**2))
            response[0] += gain
            for delay_s in (0.003, 0.006):  # two other microphones
                response[round(delay_s * sr)] += 10 ** (-12 / 20)
            length = len(stem) + len(t)
            wet = np.fft.irfft(np.fft.rfft(stem, length) * np.fft.rfft(response, length), length)
            channels.append(wet[: len(stem)])
        out[piece] = np.array(channels, dtype=np.float32)
    return out


def main():
    """Print the quality of the preset on 12 seconds of each scene at 44.1 kHz."""
    from audiosep import Separator
    from audiosep.transform import istft, stft
    from audiosep.types import Audio

    def si_sdr(reference, estimate):
        r, e = reference.ravel().astype(float), estimate.ravel().astype(float)
        part = (e @ r) / (r @ r) * r
        return 10 * np.log10((part @ part) / ((e - part) @ (e - part)))

    sr, three = 44100, ("kick", "snare", "hihat")
    kits = {
        "machine": played(sr, 12.0, human=False)[0],
        "human": played(sr, 12.0)[0],
        "human, room and bleed": in_a_room(played(sr, 12.0)[0], sr),
        "with a tom": played(sr, 12.0, pieces=(*three, "tom"))[0],
        "with a tom, room and bleed": in_a_room(played(sr, 12.0, pieces=(*three, "tom"))[0], sr),
        "with cymbals": played(sr, 12.0, pieces=(*three, "cymbal"))[0],
    }
    for kit, stems in kits.items():
        stems = {name: np.atleast_2d(stem) for name, stem in stems.items()}
        mix = np.sum(list(stems.values()), axis=0, dtype=np.float32)
        found = Separator(preset="drums").separate(mix, sr).stems
        spectrogram = stft(Audio(samples=mix, sr=sr), window_s=0.046)
        sizes = {
            name: np.abs(stft(Audio(samples=stem, sr=sr), window_s=0.046).values)
            for name, stem in stems.items()
        }
        total = sum(sizes.values()) + 1e-12
        for name, stem in stems.items():
            oracle = istft(spectrogram, mask=(sizes[name] / total).astype(np.float32)).samples
            ours = f"{si_sdr(stem, found[name].samples):.1f}" if name in found else "no stem"
            print(  # noqa: T201
                f"{kit}: {name}: ours {ours}, doing nothing {si_sdr(stem, mix):.1f}, "
                f"oracle ratio mask {si_sdr(stem, oracle):.1f}"
            )


if __name__ == "__main__":
    main()
