"""Look-ups before a pipeline is built, on every runner."""

import logging
from dataclasses import dataclass

from components.evaluator.requirements import require_labels
from components.example_gen.input_files import InputFiles, find_files
from components.example_gen.synthetic import SyntheticData
from components.served_models import check_served_model
from components.trainer.members import find_members, find_teachers
from components.trainer.warm_start import find_initial_model, require_same_architecture
from models.settings import EnsembleSettings
from models.vocabulary import Vocabulary
from pipeline.data.oracle_file import read_oracle_file
from pipeline.data.vocabulary import find_vocabulary, load_vocabulary
from pipeline.settings import RunSettings

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedRun:
    """What a pipeline is built from.

    Attributes:
        settings: of the run, with the file of its vocabulary and the versions of the models that it starts from.
        vocabulary: of the labels.
        synthetic: description of synthetic shards; None for others.
        shards: of the data, without those of splits with data of their own.
    """

    settings: RunSettings
    vocabulary: Vocabulary
    synthetic: SyntheticData | None
    shards: InputFiles


def prepare(settings: RunSettings, push_directory: str, shards: InputFiles | None = None) -> PreparedRun:
    """Looks at what lies beside the shards, and at the models that a training starts from.

    These are the members of an ensemble, teachers, or the model of a warm start.

    Args:
        settings: of the run.
        push_directory: where blessed models are published.
        shards: of the data, where they have been listed already.

    Raises:
        InputError: the shards, the vocabulary, one of these models or the one that serves cannot be used.
    """
    shards = shards or find_files(settings.data.pattern, spans=settings.data.spans)
    data = settings.data.model_copy(update={"vocabulary": find_vocabulary(settings.data, shards)})
    vocabulary, synthetic = load_vocabulary(data), read_oracle_file(shards)
    settings = settings.model_copy(update={"data": data.model_copy(update={"classes": len(vocabulary.names)})})
    require_labels(settings.evaluation.requirements(), vocabulary)
    check_served_model(push_directory)
    encoder = settings.model.encoder
    if isinstance(encoder, EnsembleSettings):
        members = tuple(find_members(encoder.members, settings.record_level, vocabulary.names))
        model = settings.model.model_copy(update={"encoder": encoder.model_copy(update={"members": members})})
        settings = settings.model_copy(update={"model": model})
    if settings.training.teachers:
        teachers = tuple(find_teachers(settings.training.teachers, settings.record_level, vocabulary.names))
        training = settings.training.model_copy(update={"teachers": teachers})
        settings = settings.model_copy(update={"training": training})
        _logger.info("teachers: %s", ", ".join(teachers))
    if settings.training.warm_start:
        initial_model = find_initial_model(settings.training.warm_start, push_directory)
        if initial_model:
            _logger.info("warm start: training begins with the weights of %s", initial_model)
        else:
            _logger.info("warm start: no model serves yet, training begins with random weights")
        # Hyperparameters may change the architecture: then the Trainer checks it.
        if initial_model and not settings.hyperparameters:
            require_same_architecture(initial_model, settings.model, settings.record_level, vocabulary.names)
        training = settings.training.model_copy(update={"warm_start": initial_model or False})
        settings = settings.model_copy(update={"training": training})
    return PreparedRun(settings, vocabulary, synthetic, shards)
