"""TFX components and the module functions TFX calls; thin, they join TFX to the models and the tuner."""

import importlib
import sys
from types import ModuleType
from typing import Any

_EXTENSIONS = "tfx.v1.extensions"


class _LazyExtensions(ModuleType):
    """TFX's clients of Google's AI platform, imported when they are used: a fifth of the time of importing TFX."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by whatever looks at all modules
            raise AttributeError(name)
        if sys.modules.get(_EXTENSIONS) is self:
            del sys.modules[_EXTENSIONS]
        return getattr(importlib.import_module(_EXTENSIONS), name)


sys.modules.setdefault(_EXTENSIONS, _LazyExtensions(_EXTENSIONS))
