"""Makes `fake_world` importable by name, here and in the processes that record it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
