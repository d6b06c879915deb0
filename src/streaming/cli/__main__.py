"""``python -m streaming.cli``."""

from __future__ import annotations

import sys

from streaming.cli.main import main

sys.exit(main())
