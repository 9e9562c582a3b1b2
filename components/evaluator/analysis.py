"""The evaluation by TFMA: what it computes, on how many videos at once."""

import json
from collections.abc import Mapping, Sequence

import apache_beam as beam
from tfx import v1 as tfx  # noqa: F401  (tfma.EvalConfig exists only after this import)

import tensorflow_model_analysis as tfma  # isort: skip
from google.protobuf import json_format
from tfx_bsl.tfxio import tf_example_record

from components.evaluator.outcomes import with_outcomes
from components.evaluator.requirements import Requirement, tfma_thresholds
from components.evaluator.verdict import CANDIDATE, CHAMPION
from models.features import Level
from models.slices import own_slices

# Videos at once. TFMA's own choice, up to 1000 by measured time, takes 9 KB more memory with each video-level one
# (1,361 MB for 984, 1,756 MB for 46,066; with 32 at once 1,340 and 1,342 MB) and 1.4 GB for a batch of dequantized
# frames.
BATCH = 32


def analyze(
    pipeline: beam.Pipeline,
    patterns: Sequence[str],
    models: Mapping[str, str],
    config: tfma.EvalConfig,
    output: str,
    rated: bool = False,
) -> None:
    """Adds the evaluation of models to a Beam pipeline.

    Args:
        pipeline: that runs the evaluation.
        patterns: of the files of packed tf.Examples.
        models: folders of the SavedModels by name: CANDIDATE, and CHAMPION where there is one.
        config: of `eval_config`, for the same models.
        output: folder of TFMA's results.
        rated: whether the examples are rated segments.
    """
    shared = [
        tfma.default_eval_shared_model(
            models[CHAMPION if spec.is_baseline else CANDIDATE], model_name=spec.name, eval_config=config
        )
        for spec in config.model_specs
    ]
    models_of_tfma = shared if len(shared) > 1 else shared[0]
    source = tf_example_record.TFExampleRecord(
        list(patterns), raw_record_column_name=tfma.ARROW_INPUT_COLUMN, telemetry_descriptors=["Evaluator"]
    )
    _ = (
        pipeline
        | "ReadExamples" >> source.BeamSource(BATCH)
        | "ExtractEvaluateAndWriteResults"
        >> tfma.ExtractEvaluateAndWriteResults(
            eval_shared_model=models_of_tfma,
            eval_config=config,
            extractors=with_outcomes(tfma.default_extractors(models_of_tfma, config), rated),
            output_path=output,
        )
    )


def eval_config(
    thresholds: Mapping[str, float],
    classes: int,
    level: Level,
    requirements: list[Requirement],
    slices: Sequence[str],
    groups: Mapping[str, Sequence[int]],
    rated: bool = False,
) -> tfma.EvalConfig:
    """The configuration of TFMA.

    Args:
        thresholds: of `f1_at_threshold` by model: CANDIDATE, and CHAMPION where there is one.
        classes: number of labels.
        level: of the examples; frame-level ones are sliced by number of frames too.
        requirements: what the candidate must reach.
        slices: further features to slice by.
        groups: label ids by the name of their group.
        rated: whether the examples are rated segments, which are sliced by `slices` alone.
    """
    model = {
        "signature_name": "packed_examples",
        "preprocessing_function_names": ["transform_features"],
        "label_key": "labels",
    }
    features = dict.fromkeys([*(() if rated else own_slices(level)), *slices])
    scores = {"classes": classes, "groups": groups, "rated": rated}
    config = json_format.ParseDict(
        {
            "model_specs": [
                {"name": CANDIDATE, **model},
                *([{"name": CHAMPION, "is_baseline": True, **model}] if CHAMPION in thresholds else []),
            ],
            "slicing_specs": [{}, *({"feature_keys": [name]} for name in features)],
            "metrics_specs": [
                {
                    "model_names": [name],
                    "metrics": [
                        {"class_name": "ExampleCount"},
                        {
                            "class_name": "VideoScores",
                            "module": "components.evaluator.metrics",
                            "config": json.dumps({**scores, "threshold": threshold}),
                        },
                    ],
                    **(tfma_thresholds(requirements) if name == CANDIDATE else {}),
                }
                for name, threshold in thresholds.items()
            ],
        },
        tfma.EvalConfig(),
    )
    # Without a champion there is no change to check.
    return tfma.utils.update_eval_config_with_defaults(config, has_baseline=CHAMPION in thresholds, rubber_stamp=True)
