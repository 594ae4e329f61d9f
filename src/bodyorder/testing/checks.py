"""What the conformance kit found, for people and for tests."""

from __future__ import annotations

from dataclasses import dataclass


class ConformanceError(AssertionError):
    """A source failed a check of the conformance kit."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    :param name: what
    :param passed: True, False, or None where it does not apply to this source
    :param value: the largest deviation seen, in ``unit``
    :param tolerance: the largest deviation allowed
    :param unit: eV, eV/Å, or empty where nothing was measured
    :param detail: one line on what was done or what went wrong
    """

    name: str
    passed: bool | None
    value: float = 0.0
    tolerance: float = 0.0
    unit: str = ""
    detail: str = ""

    def __str__(self) -> str:
        word = {True: "pass", False: "FAIL", None: "none"}[self.passed]
        measured = f" {self.value:.1e} (allowed {self.tolerance:.1e}) {self.unit}" if self.unit else ""
        return f"{word}  {self.name}:{measured} {self.detail}".rstrip()


@dataclass(frozen=True)
class Conformance:
    """What the conformance kit found.

    :param source: name of the source
    :param checks: one entry per check, in the order in which they ran
    """

    source: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.passed is False)

    def raise_if_failed(self) -> None:
        """Do nothing if all is well.

        :raises ConformanceError: listing the checks that failed
        """
        if self.failures:
            raise ConformanceError("\n".join([f"{self.source} does not conform:", *map(str, self.failures)]))

    def __str__(self) -> str:
        return "\n".join([self.source, *map(str, self.checks)])
