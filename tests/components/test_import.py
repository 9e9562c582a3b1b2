"""What TFX would import and nothing here uses is left out."""

import sys

from tfx import v1 as tfx


def test_the_clients_of_googles_ai_platform_are_not_imported():
    assert tfx.components.Trainer
    assert not [name for name in sys.modules if name.startswith("google.cloud.aiplatform")]
