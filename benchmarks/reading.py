"""Reading 10,000 frames of eight waters and cutting them into molecules, against what ASE takes to read them alone.

Frames are those of extended XYZ: bare, with energy and forces, and in a periodic cell as well. Processor times
of one process, in turn; the smallest of each counts. That both read the same is checked.

Run with: python benchmarks/reading.py [frames]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import ase
import ase.io
import numpy as np
from _timing import seconds
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from bodyorder.structures import read_structures
from bodyorder.structures.bodies import divide
from bodyorder.structures.periodic import make_whole
from bodyorder.structures.reading import read_file

FRAMES = 10_000
REPEATS = 3


def waters(count: int, results: bool, cell: bool) -> list[ase.Atoms]:
    rng = np.random.default_rng(0)
    start = ase.Atoms(cell=[12.4, 12.4, 12.4], pbc=True) if cell else ase.Atoms()
    for corner in np.ndindex(2, 2, 2):
        water = molecule("H2O")
        water.translate(3.1 * np.array(corner))
        start += water
    frames = []
    for _ in range(count):
        atoms = start.copy()
        atoms.positions += rng.normal(scale=0.02, size=atoms.positions.shape)
        if results:
            atoms.calc = SinglePointCalculator(atoms, energy=rng.normal(), forces=rng.normal(size=(24, 3)))
        frames.append(atoms)
    return frames


def read_and_cut(path: Path, whole: bool = False) -> int:
    """The number of molecules.

    :param whole: put those together that borders cut, too
    """
    frames = read_structures(path, periodic=True)
    partitions = divide(frames, "molecules")
    if whole:
        make_whole(frames, partitions, "molecules", [str(index) for index in range(len(frames))])
    return sum(len(bodies) for bodies in partitions)


def measure(path: Path, count: int, kind: str) -> None:
    ase.io.write(path, waters(count, "energy" in kind, "cell" in kind), format="extxyz")
    assert read_file(path) == ase.io.read(path, ":")
    assert read_and_cut(path) == 8 * count
    works = [lambda: read_file(path), lambda: read_and_cut(path), lambda: ase.io.read(path, ":")]
    if "cell" in kind:
        works.insert(2, lambda: read_and_cut(path, whole=True))
    *ours, theirs = np.min([[seconds(work) for work in works] for _ in range(REPEATS)], axis=0)
    print(f"{count} frames, {kind}: ASE reads them in {theirs:.2f} s of processor time; times that:")
    for label, time in zip(("read", "read and cut into molecules", "and put these together"), ours, strict=False):
        print(f"  {label}: {time / theirs:.2f}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "waters.xyz"
        measure(path, count, "bare")
        measure(path, count, "energy and forces")
        measure(path, count, "energy, forces and cell")


if __name__ == "__main__":
    main()
