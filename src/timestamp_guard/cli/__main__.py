"""`python -m timestamp_guard.cli` is `timestamp-guard`."""

import sys

from . import main

sys.exit(main())
