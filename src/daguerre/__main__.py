"""`python -m daguerre` runs the program `daguerre`."""

from __future__ import annotations

import sys

from daguerre.cli.main import main

sys.exit(main())
