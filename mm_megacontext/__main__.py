"""``python -m mm_megacontext`` is ``mmctx``."""

from __future__ import annotations

import sys

from mm_megacontext.cli.main import main

sys.exit(main())
