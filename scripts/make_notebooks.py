"""Run the notebooks of examples/, and keep their results in them: text and pictures, but no sound.

Needs ``pip install ".[test]"``.

python scripts/make_notebooks.py [NOTEBOOK ...] [--check]

With --check nothing is written: the exit code is 1 where a notebook holds other results than the
present code gives; numbers may differ by some tenths, as they do between processors.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SOUND = "(A player: it appears when the notebook runs.)"
SHADES = 64
TENTHS = 0.61
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(path: Path, timeout_s: float = 600.0) -> nbformat.NotebookNode:
    """Run a notebook in its folder by this interpreter, whatever kernels are installed.

    Parameters
    ----------
    path : Path
        The notebook; it is not changed.
    timeout_s : float
        Of each cell.

    Returns
    -------
    NotebookNode
        With its results.
    """
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import KernelManager
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as place:
        # Neither settings of this user nor traces of the run.
        names = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
        home = {name: str(Path(place) / name.lower()) for name in names}
        manager = KernelManager(
            kernel_name="python3",
            # Without folders to look into, this interpreter's own kernel is the only one.
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[], ensure_native_kernel=True),
            connection_file=str(Path(place) / "kernel.json"),
            transport="ipc" if os.name == "posix" else "tcp",
        )
        where = {"metadata": {"path": str(path.parent)}}
        client = NotebookClient(notebook, km=manager, timeout=timeout_s, resources=where)
        try:
            client.execute(env=os.environ | home)
        finally:
            if client.kc is not None:
                client.kc.stop_channels()
            manager.shutdown_kernel(now=True)
    return notebook


def kept(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave of the results what is small and reads well on a page."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = _joined([_kept(output) for output in cell.outputs])
    return notebook


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """What was printed in several pieces is one text: where it is cut is chance."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        before = joined[-1] if joined else output
        if joined and output.output_type == before.output_type == "stream":
            before.text += output.text
        else:
            joined.append(output)
    return joined


def _kept(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    if output.output_type == "stream":
        return nbformat.v4.new_output("stream", name=output.name, text=output.text)
    data = output.get("data", {})
    if "image/png" in data:
        # The words of a figure would be its size, or an address in memory.
        picture = {"image/png": _small(data["image/png"]), "text/plain": "(A picture.)"}
        return nbformat.v4.new_output("display_data", data=picture)
    text = SOUND if "<audio" in data.get("text/html", "") else data.get("text/plain", "")
    return nbformat.v4.new_output("display_data", data={"text/plain": text})


def _small(png: str) -> str:
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    out = io.BytesIO()
    # Keeps colours that few dots have, such as those of lines.
    few = image.quantize(SHADES, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(out, format="png", optimize=True)
    return base64.b64encode(out.getvalue()).decode("ascii")


def differences(stored: nbformat.NotebookNode, fresh: nbformat.NotebookNode) -> list[str]:
    """Where the results of two runs differ by more than another machine would explain."""
    found = []
    for old, new in zip(stored.cells, fresh.cells, strict=True):
        if old.cell_type != "code":
            continue
        before, now = _words(old), _words(new)
        if not _alike(before, now):
            found.append(f"{old.source.splitlines()[0]!r}: {before!r} is now {now!r}")
    return found


def _words(cell: nbformat.NotebookNode) -> str:
    parts = []
    for output in cell.outputs:
        parts.append(output.get("text") or output.get("data", {}).get("text/plain", ""))
        parts.append(",".join(sorted(output.get("data", {}))))
    return "\n".join(parts)


def _alike(before: str, now: str) -> bool:
    """Whether words are the same and numbers nearly."""
    if NUMBER.sub("#", before) != NUMBER.sub("#", now):
        return False
    pairs = zip(NUMBER.findall(before), NUMBER.findall(now), strict=True)
    return all(abs(float(a) - float(b)) <= max(TENTHS, 0.05 * abs(float(a))) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("notebooks", nargs="*", type=Path, default=NOTEBOOKS)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    wrong = []
    for path in arguments.notebooks:
        fresh = kept(run(path))
        if arguments.check:
            wrong += [f"{path.name}: {d}" for d in differences(nbformat.read(path, 4), fresh)]
        else:
            nbformat.write(fresh, path)
            print(path, path.stat().st_size)
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
