"""``python -m ferminet`` is the command ``ferminet``."""

import sys

from ferminet.cli.main import main

sys.exit(main())
