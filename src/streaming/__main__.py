"""``python -m streaming``: the command line."""

from __future__ import annotations

import sys

from streaming.cli.main import main

sys.exit(main())
