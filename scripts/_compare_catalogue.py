"""The peers of the comparison: how each is installed and started, and what its documentation says.

Facts are short and each has the address of the page that says so; what can be measured instead
(whether stems add up, what a damaged file does) is measured by `_compare_probes.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

YES, NO = "yes", "no"
FEATURES = (
    "command line",
    "needs trained weights",
    "by example",
    "with a score",
    "places in stereo",
    "own NMF",
    "long recordings",
    "goes on after a crash",
)
"""Rows of the table of what each offers."""

TORCH = "torch==2.13.0"
"""Pinned for all that need it, so that they are measured with the same one."""

NUSSL_NEEDS = (
    *("numpy<2", "scipy<1.13", "zarr<3", "librosa", "jams", "matplotlib", "museval", "musdb"),
    *("pyyaml", "ffmpy", "pytorch-ignite", "tensorboard", "norbert", "tqdm", "termtables"),
    *("gpytorch", "ffmpeg-python", "importlib-resources", "sox", "pyloudnorm"),
)

Attempt = tuple[tuple[str, ...], ...]
"""Arguments of ``pip install``, step by step."""

Command = Callable[[Path, dict], list[str]]
"""From the folder of the environment's programs and the job to what is run."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A program or library, as it is installed and as it describes itself."""

    name: str
    page: str
    kind: str
    attempts: tuple[Attempt, ...]
    distribution: str
    check: str
    """Python that fails where it is installed but cannot be used."""

    facts: dict[str, tuple[str, str]]
    """Feature to what it offers and the page that says so; what is missing is not offered."""

    aside: str = ""
    """What has to be known to judge the outcome of the installation."""


def plain(*requirements: str) -> tuple[Attempt, ...]:
    return ((requirements,),)


_DEMUCS = "https://github.com/adefossez/demucs"
_SPLEETER = "https://github.com/deezer/spleeter/wiki"
_UMX = "https://github.com/sigsep/open-unmix-pytorch"
_NUSSL = "https://github.com/nussl/nussl"
_FLUCOMA = "https://learn.flucoma.org/reference/"
_LIBNMFD = "https://github.com/groupmm/libnmfd"
_ROOM = "https://pyroomacoustics.readthedocs.io/en/stable/pyroomacoustics.bss.html"
_SKLEARN = "https://scikit-learn.org/stable/modules/generated/sklearn.decomposition."
_LIBROSA = "https://librosa.org/doc/latest/"

PEERS: tuple[Peer, ...] = (
    Peer(
        name="audiosep",
        page="index.md",
        kind="command line and library, no training",
        attempts=plain(str(ROOT)),
        distribution="audiosep",
        check="import audiosep; audiosep.separate",
        facts={
            "command line": (YES, "command-line.md"),
            "by example": (YES, "methods/by-example.md"),
            "with a score": (YES, "methods/score.md"),
            "places in stereo": (YES, "methods/stereo.md"),
            "own NMF": ("any beta, seven solvers", "python.md"),
            "long recordings": ("in chunks, memory stays", "long.md"),
            "goes on after a crash": (YES, "batch.md"),
        },
    ),
    Peer(
        name="librosa",
        page=_LIBROSA,
        kind="library",
        attempts=plain("librosa"),
        distribution="librosa",
        check="import librosa; librosa.effects.hpss",
        facts={
            "long recordings": ("read in blocks", _LIBROSA + "generated/librosa.stream.html"),
            "own NMF": (
                "through scikit-learn",
                _LIBROSA + "generated/librosa.decompose.decompose.html",
            ),
        },
    ),
    Peer(
        name="scikit-learn",
        page=_SKLEARN + "NMF.html",
        kind="library for matrices",
        attempts=plain("scikit-learn", "librosa"),
        distribution="scikit-learn",
        check="from sklearn.decomposition import NMF",
        facts={
            "own NMF": ("any beta, two solvers", _SKLEARN + "NMF.html"),
            "by example": ("recipe: fixed templates", _SKLEARN + "non_negative_factorization.html"),
            "long recordings": ("matrices in parts", _SKLEARN + "MiniBatchNMF.html"),
        },
    ),
    Peer(
        name="nussl",
        page=_NUSSL,
        kind="library",
        attempts=(
            *plain(TORCH, "nussl"),
            (("--no-deps", "nussl"), (TORCH, *NUSSL_NEEDS)),
        ),
        distribution="nussl",
        check="import nussl; nussl.separation.primitive.HPSS",
        aside="with the name np.bool, which NumPy 1.24 removed, put back for it",
        facts={
            "places in stereo": ("DUET, PROJET", _NUSSL),
            "own NMF": ("through scikit-learn", _NUSSL),
            "needs trained weights": ("for its networks only", _NUSSL),
            "long recordings": ("overlap-add of windows", _NUSSL),
        },
    ),
    Peer(
        name="FluCoMa",
        page="https://www.flucoma.org",
        kind="objects for Max, SuperCollider, Pure Data; programs",
        attempts=plain("python-flucoma"),
        distribution="python-flucoma",
        check="from flucoma import fluid",
        aside="its programs are not on the package index, but among the releases on GitHub",
        facts={
            "command line": (YES, "https://github.com/flucoma/flucoma-cli"),
            "by example": ("fixed or seeded bases", _FLUCOMA + "bufnmf"),
            "own NMF": ("Kullback-Leibler", _FLUCOMA + "bufnmf"),
        },
    ),
    Peer(
        name="libnmfd",
        page=_LIBNMFD,
        kind="library",
        attempts=plain("libnmfd"),
        distribution="libnmfd",
        check="from libnmfd.core import nmfconv",
        facts={
            "with a score": ("notes as arrays", _LIBNMFD),
            "by example": ("fixed templates", _LIBNMFD),
            "own NMF": ("NMF, NMFD, diagonal NMF", _LIBNMFD),
        },
    ),
    Peer(
        name="pyroomacoustics",
        page=_ROOM,
        kind="library for microphone arrays",
        attempts=plain("pyroomacoustics"),
        distribution="pyroomacoustics",
        check="import pyroomacoustics; pyroomacoustics.bss.fastmnmf2",
        facts={
            "places in stereo": ("AuxIVA, ILRMA, FastMNMF", _ROOM),
            "own NMF": ("in ILRMA and FastMNMF", _ROOM),
        },
    ),
    Peer(
        name="torchnmf",
        page="https://pytorch-nmf.readthedocs.io",
        kind="library for matrices",
        attempts=plain(TORCH, "torchnmf", "librosa"),
        distribution="torchnmf",
        check="from torchnmf.nmf import NMF",
        facts={
            "by example": ("fixed factors", "https://pytorch-nmf.readthedocs.io"),
            "own NMF": ("any beta, NMF and NMFD", "https://pytorch-nmf.readthedocs.io"),
        },
    ),
    Peer(
        name="nimfa",
        page="https://nimfa.biolab.si",
        kind="library for matrices",
        attempts=(*plain("nimfa", "librosa"), *plain("numpy<2", "nimfa", "librosa")),
        distribution="nimfa",
        check="import nimfa, numpy; nimfa.Nmf(numpy.ones((4, 4)), rank=2, max_iter=1)()",
        facts={"own NMF": ("many variants", "https://nimfa.biolab.si")},
    ),
    Peer(
        name="noisereduce",
        page="https://github.com/timsainb/noisereduce",
        kind="library",
        attempts=plain("noisereduce"),
        distribution="noisereduce",
        check="import noisereduce; noisereduce.reduce_noise",
        facts={
            "by example": ("of the noise", "https://github.com/timsainb/noisereduce"),
            "long recordings": ("arrays in chunks", "https://github.com/timsainb/noisereduce"),
        },
    ),
    Peer(
        name="demucs",
        page=_DEMUCS,
        kind="command line and library, trained network",
        attempts=plain(TORCH, "demucs"),
        distribution="demucs",
        check="import demucs.separate",
        facts={
            "command line": (YES, _DEMUCS),
            "needs trained weights": (YES, _DEMUCS),
            "long recordings": ("in segments", _DEMUCS),
        },
    ),
    Peer(
        name="open-unmix",
        page=_UMX,
        kind="command line and library, trained network",
        attempts=plain(TORCH, "openunmix"),
        distribution="openunmix",
        check="import openunmix.cli",
        aside="torchaudio of the index asks for PyTorch with CUDA; here it is the one without",
        facts={
            "command line": (YES, _UMX),
            "needs trained weights": (YES, _UMX),
            "long recordings": (NO, _UMX),
        },
    ),
    Peer(
        name="spleeter",
        page=_SPLEETER,
        kind="command line and library, trained network",
        attempts=plain("spleeter"),
        distribution="spleeter",
        check="import spleeter.separator",
        facts={
            "command line": (YES, _SPLEETER),
            "needs trained weights": (YES, _SPLEETER),
        },
    ),
)

BY_NAME = {peer.name: peer for peer in PEERS}


# --- commands of those that have one ---------------------------------------------------------


def split(preset: str) -> Command:
    """Our own command line, told what the task tells."""

    def command(programs: Path, job: dict) -> list[str]:
        told: list[str] = []
        for name, path in job.get("examples", {}).items():
            told += ["--example", f"{name}={path}"]
        if "score" in job:
            told += ["--score", job["score"]]
        if preset in ("components", "stereo"):
            told += ["-n", str(job["n_sources"])]
        start = [str(programs / "audiosep"), "split", job["mixture"], "-o", job["out"]]
        return [*start, "--preset", preset, *told]

    return command


def demucs(programs: Path, job: dict) -> list[str]:
    return [str(programs / "demucs"), "-d", "cpu", "--float32", "-o", job["out"], job["mixture"]]


def open_unmix(programs: Path, job: dict) -> list[str]:
    return [str(programs / "umx"), "--no-cuda", "--outdir", job["out"], job["mixture"]]


def spleeter(programs: Path, job: dict) -> list[str]:
    model = ["-p", "spleeter:4stems"]
    return [str(programs / "spleeter"), "separate", *model, "-o", job["out"], job["mixture"]]


def fluid_hpss(_programs: Path, job: dict) -> list[str]:
    out = Path(job["out"]).resolve()
    places = ["-harmonic", str(out / "harmonic.wav"), "-percussive", str(out / "percussive.wav")]
    return ["fluid-hpss", "-source", str(Path(job["mixture"]).resolve()), *places]


COMMANDS: dict[str, Command] = {
    "demucs": demucs,
    "umx": open_unmix,
    "spleeter": spleeter,
    "fluid-hpss": fluid_hpss,
}
"""Methods that are a program; ``split:PRESET`` is ours, all others go through the runner."""


def command_of(method: str, programs: Path, job: dict, job_file: Path) -> list[str]:
    """Return what is run for a method."""
    if method.startswith("split:"):
        return split(method.removeprefix("split:"))(programs, job)
    if method in COMMANDS:
        return COMMANDS[method](programs, job)
    runner = Path(__file__).with_name("_compare_runner.py")
    return [str(programs / "python"), str(runner), method, str(job_file)]
