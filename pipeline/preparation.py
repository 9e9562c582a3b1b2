"""What is looked up before a pipeline is built, on every runner."""

from components.trainer.members import find_members
from models.settings import EnsembleSettings
from models.vocabulary import Vocabulary
from pipeline.settings import BeamSettings, RunSettings
from pipeline.vocabulary import find_vocabulary


def prepare(settings: RunSettings) -> tuple[RunSettings, Vocabulary]:
    """The labels, and the settings with the versions that an ensemble averages: newer ones make another ensemble.

    Raises:
        InputError: there is no vocabulary, or a member of the ensemble cannot be used.
    """
    vocabulary = find_vocabulary(settings.data)
    encoder = settings.model.encoder
    if isinstance(encoder, EnsembleSettings):
        members = tuple(find_members(encoder.members, settings.level, vocabulary.names))
        model = settings.model.model_copy(update={"encoder": encoder.model_copy(update={"members": members})})
        settings = settings.model_copy(update={"model": model})
    return settings, vocabulary


def beam_args(settings: BeamSettings) -> list[str]:
    """Arguments of Beam's pipelines."""
    # The runner named DirectRunner would download a binary ("Prism"); the in-process one behind it is FnApiRunner.
    return [
        "--runner=FnApiRunner",
        f"--direct_num_workers={settings.workers}",
        f"--direct_running_mode={settings.mode}",
        # No image is used here. Without a name TFX would pack itself for each step (2 s, 52 MB left in /tmp).
        "--sdk_container_image=none",
    ]
