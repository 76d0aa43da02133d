"""`python -m liquid_control` is `liquid-control`."""

import sys

from liquid_control.cli import main

sys.exit(main())
