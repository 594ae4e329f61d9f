"""Results of real decompositions, and a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from bodyorder.analysis import combine
from bodyorder.engine import decompose
from bodyorder.structures.hydrogen import high_density, low_density

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--hide-scrollbars", "--enable-logging=stderr", "--virtual-time-budget=5000",
)  # fmt: skip

#: What Chromium's own drawing code notes about its speed.
DRAWING_NOTES = ("GPU stall due to ReadPixels", "willReadFrequently")


@pytest.fixture(scope="session")
def clusters():
    frames = low_density(4, 2, seed=1) + high_density(5, 2, seed=2)
    for index, atoms in enumerate(frames):
        atoms.info["group"] = ("low", "high")[index // 2]
        atoms.info["name"] = f"{atoms.info['group']}_{index % 2:03d}"
    return frames


@pytest.fixture(scope="session")
def separate(clusters) -> dict[str, xr.DataTree]:
    """Results by name: a many-body potential, a pair potential, and one with three-body terms."""
    specs = {
        "many-body": "analytic:sutton-chen?epsilon=1.0&a=1.0&c=3.0&n=6&m=3",
        "pairs": "analytic:pair?kind=morse",
        "triples": "analytic:axilrod-teller?nu=0.5&epsilon=0.01&sigma=1.0",
    }
    return {name: decompose(clusters, spec, forces=True, subsets=True) for name, spec in specs.items()}


@pytest.fixture(scope="session")
def results(separate) -> xr.DataTree:
    return combine(separate)


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page: its document, the messages on its console, and its picture."""

    document: str
    messages: list[str]
    picture: np.ndarray


@pytest.fixture(scope="session")
def browse(tmp_path_factory) -> Callable[..., Seen]:
    """Open a page in a real browser, without a network, in a window of some size, for readers who like it light or dark."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        reason = f"no browser: install one of {', '.join(BROWSERS)} (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    def look(page: Path, size: tuple[int, int] = (1000, 900), dark: bool = False) -> Seen:
        folder = tmp_path_factory.mktemp("browser")
        shot = folder / "page.png"
        command = [
            program, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={size[0]},{size[1]}", "--dump-dom",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--screenshot={shot}",
            "--host-resolver-rules=MAP * ~NOTFOUND", page.resolve().as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        messages = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        messages = [line for line in messages if not any(note in line for note in DRAWING_NOTES)]
        with Image.open(shot) as image:
            return Seen(done.stdout, messages, np.asarray(image.convert("RGB")).astype(int))

    return look
