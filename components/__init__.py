"""TFX components and the module functions TFX calls; thin, they join TFX to the models and the tuner."""

import sys
from types import ModuleType

# Clients of Google's AI platform, which nothing here uses: `tfx.v1` would take a quarter of its time to import them.
sys.modules.setdefault("tfx.v1.extensions", ModuleType("tfx.v1.extensions"))
