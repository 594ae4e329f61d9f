"""``python -m bodyorder``: the command line."""

import sys

from bodyorder.cli import main

sys.exit(main())
