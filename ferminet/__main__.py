"""``python -m ferminet`` is the command ``ferminet``."""

import sys

from ferminet.cli import main

sys.exit(main())
