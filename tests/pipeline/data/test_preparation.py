"""Arguments of Beam's pipelines."""

from tfx.utils.dependency_utils import make_beam_dependency_flags

from pipeline.data.preparation import beam_args
from pipeline.settings import BeamSettings


def test_tfx_does_not_package_itself_for_workers_that_need_no_package():
    arguments = beam_args(BeamSettings())
    assert make_beam_dependency_flags(arguments) == arguments
