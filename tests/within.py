"""``within.py SECONDS COMMAND...`` runs a command and ends it when it takes longer, with exit status 124."""

import subprocess
import sys

try:
    sys.exit(subprocess.run(sys.argv[2:], timeout=float(sys.argv[1]), check=False).returncode)
except subprocess.TimeoutExpired:
    print(f"{sys.argv[2]} took more than {sys.argv[1]} seconds and was ended", file=sys.stderr)
    sys.exit(124)
