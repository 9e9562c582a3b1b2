"""What TFX would import and nothing here uses is imported when it is used."""

import subprocess
import sys

PROGRAM = """
import sys
import components
from tfx import v1 as tfx

assert tfx.components.Trainer
assert not [name for name in sys.modules if name.startswith("google.cloud.aiplatform")]
assert tfx.extensions.google_cloud_ai_platform.Trainer
assert [name for name in sys.modules if name.startswith("google.cloud.aiplatform")]
"""


def test_the_clients_of_googles_ai_platform_are_imported_when_they_are_used() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
