"""A source for tests of workers: it takes its time, writes down who computed what, and kills its process where it is told to."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from bodyorder.sources.registry import load_source

SUTTON_CHEN = "analytic:sutton-chen"


class Worked(type(load_source(SUTTON_CHEN))):
    """Energies of Sutton and Chen.

    :param log: file to which a line is added for each batch: the process, how many sub-clusters, the atoms of each
    :param seconds: of sleep for each sub-cluster
    :param victims: sub-clusters, as atoms, whose process is killed; None for all
    :param how: by which signal, or with which status it exits if that is positive
    :param claims: capabilities other than those of Sutton and Chen
    """

    def __init__(self, log=None, seconds=0.0, victims=(), how=-signal.SIGKILL, **claims):
        super().__init__()
        self.log, self.pause, self.victims, self.how = log, seconds, victims, how
        self.capabilities = replace(self.capabilities, **claims)

    def energies(self, batch):
        atoms = [tuple(sorted(members)) for members in batch.members.tolist()]
        if self.victims is None or not set(self.victims).isdisjoint(atoms):
            if self.how >= 0:
                os._exit(self.how)
            os.kill(os.getpid(), -self.how)
        for one in atoms:
            time.sleep(self.pause)
            self.write("one", one)
        self.write(len(batch), atoms)
        return super().energies(batch)

    def write(self, *said):
        if self.log is not None:
            with Path(self.log).open("a") as file:
                print(os.getpid(), *said, file=file, sep="\t")


def batches(log):
    """Lengths of batches by process, in their order."""
    found = {}
    for line in Path(log).read_text().splitlines():
        process, what, _ = line.split("\t")
        if what != "one":
            found.setdefault(int(process), []).append(int(what))
    return found


def n_computed(log):
    """How many sub-clusters have been computed, one by one."""
    return Path(log).read_text().count("\tone\t") if Path(log).exists() else 0
