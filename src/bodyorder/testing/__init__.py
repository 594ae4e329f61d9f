"""Conformance of an energy source: what must hold so that the body orders of its energies mean something.

In the tests of a package with a source of its own::

    from bodyorder.testing import check_source

    def test_my_source_conforms():
        check_source(MySource()).raise_if_failed()
"""

from bodyorder.testing.checks import Check, Conformance, ConformanceError
from bodyorder.testing.conformance import check_source

__all__ = ["Check", "Conformance", "ConformanceError", "check_source"]
