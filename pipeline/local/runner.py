"""Runs the pipeline on this machine, node by node, and records time and memory of each."""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import psutil
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import pipeline_pb2

from models.whole_files import write_file
from pipeline.steps import Step, StepRun

# Often enough to see a peak of a second, rarely enough to cost nothing.
SAMPLE_SECONDS = 0.2


_logger = logging.getLogger(__name__)


class LocalRunner:
    """Runs a pipeline's nodes in this process, one after another; TFX caches those whose inputs did not change.

    Args:
        steps_file: rewritten after each step, with state, seconds and peak memory of all that have ended.
        on_step: called with each step when it starts and when it has ended.
    """

    def __init__(self, steps_file: Path, on_step: Callable[[StepRun], None]):
        self.steps_file, self.on_step = steps_file, on_step
        self.steps: list[StepRun] = []

    def run(self, pipeline: tfx.dsl.Pipeline, from_node: str = "") -> list[StepRun]:
        """Runs all nodes.

        Args:
            pipeline: with a SQLite metadata connection.
            from_node: this node and those that read from it run even if TFX has their results.

        Raises:
            InputError: a node cannot use its data or settings.
        """
        plan = compiler.Compiler().compile(pipeline)
        runtime_parameter_utils.substitute_runtime_parameter(
            # TFX would resume the first run instead of starting a second one of the same name.
            plan,
            {constants.PIPELINE_RUN_ID_PARAMETER_NAME: datetime.now(UTC).isoformat()},
        )
        nodes = [node.pipeline_node for node in plan.nodes]
        _disable_cache(nodes, from_node)
        for node in nodes:
            step = StepRun(node.node_info.id)
            _logger.info("step %s", step.name)
            self.steps.append(step)
            self._record(step)
            memory, started = _PeakMemory(), time.monotonic()
            try:
                with memory:
                    self._launch(plan, node, step)
            except SystemExit:
                step.state = "stopped"
                raise
            finally:
                if step.state == "running":
                    step.state = "failed"
                step.seconds, step.peak_memory_mb = round(time.monotonic() - started, 2), memory.peak_mb
                self._record(step)
        return self.steps

    def _launch(self, plan: pipeline_pb2.Pipeline, node: pipeline_pb2.PipelineNode, step: StepRun) -> None:
        deployment = runner_utils.extract_local_deployment_config(plan)
        store_config = deployment.metadata_connection_config
        connection = getattr(store_config, store_config.WhichOneof("connection_config"))
        info = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(connection),
            pipeline_info=plan.pipeline_info,
            pipeline_runtime_spec=plan.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(deployment, step.name),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, step.name),
        ).launch()
        assert info is not None
        with metadata.Metadata(connection) as store:
            [execution] = store.store.get_executions_by_id([info.execution_id])
            for name, artifacts in execution_lib.get_output_artifacts(store, info.execution_id).items():
                step.outputs[name] = artifacts[0].uri
                step.properties[name] = {
                    key: artifacts[0].get_custom_property(key) for key in artifacts[0].mlmd_artifact.custom_properties
                }
        cached = execution.last_known_state == metadata_store_pb2.Execution.CACHED
        step.state = "cached" if cached else "done"

    def _record(self, step: StepRun) -> None:
        recorded = ("name", "state", "seconds", "peak_memory_mb")
        # Without the running step: a reader could not distinguish it from a killed one.
        ended = [run for run in self.steps if run.state != "running"]
        rows = [{key: value for key, value in asdict(run).items() if key in recorded} for run in ended]
        write_file(self.steps_file, json.dumps(rows, indent=1))
        self.on_step(step)


def _disable_cache(nodes: list[pipeline_pb2.PipelineNode], from_node: str) -> None:
    """Turns the cache off for the Pusher, whose result depends on what serves, and from `from_node` on."""
    uncached = {from_node, Step.PUSHER}
    for node in nodes:
        if uncached & {node.node_info.id, *node.upstream_nodes}:
            uncached.add(node.node_info.id)
            node.execution_options.caching_options.enable_cache = False


class _PeakMemory:
    """Samples the memory of this process and its children while a step runs.

    Pages of mapped files don't count: they are the system's cache, which it takes back when memory is short.
    """

    def __init__(self) -> None:
        self.peak_mb = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "_PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        process = psutil.Process()
        while True:
            used = 0
            for member in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):  # a child may end in the meantime
                    memory = member.memory_info()
                    used += memory.rss - memory.shared
            self.peak_mb = max(self.peak_mb, used // 2**20)
            if self._stop.wait(SAMPLE_SECONDS):
                return
