"""Settings of the documentation site: Sphinx reads the Markdown of this folder and the docstrings of models/."""

import os

# Docstrings are imported: silence TensorFlow's notes about the processor.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "yt8m-pipeline"
author = "the authors of yt8m-pipeline"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Call arguments", "params_style")]
default_role = "code"

html_theme = "furo"
html_title = "yt8m-pipeline"
html_copy_source = False
html_show_copyright = False
