"""`python -m daguerre`: the same program where its command is not on the path."""

from __future__ import annotations

import sys

from daguerre.cli.main import main

sys.exit(main())
