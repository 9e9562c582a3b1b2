"""Settings of the documentation site: Sphinx reads the Markdown of this folder and the docstrings of models/."""

import os
from typing import Any

# Docstrings are imported: silence TensorFlow's notes about the processor.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pydantic
from sphinx.application import Sphinx
from sphinx.util.inspect import signature, stringify_signature

project = "yt8m-pipeline"
author = "the authors of yt8m-pipeline"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
default_role = "py:obj"

add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 100
autodoc_default_options = {"members": True, "show-inheritance": True, "exclude-members": "model_config"}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Call arguments", "params_style")]

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_copyright = False


def _arguments(app: Sphinx, what: str, name: str, thing: Any, *_: Any) -> tuple[str, None] | None:
    """Arguments of layers, which Keras' __new__ hides, and of settings, which are their fields."""
    if what == "class" and issubclass(thing, pydantic.BaseModel):
        fields = thing.model_fields.items()
        shown = [key if field.is_required() else f"{key}={field.default!r}" for key, field in fields]
        return (f"(*, {', '.join(shown)})" if shown else ""), None
    if what == "class" and issubclass(thing, keras.Layer | keras.Metric):
        return stringify_signature(signature(thing.__init__, bound_method=True)), None
    return None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", _arguments)
