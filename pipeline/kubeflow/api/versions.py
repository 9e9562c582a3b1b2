"""Uploads packages as versions of a pipeline."""

import tempfile
from pathlib import Path
from typing import Any

from kfp_server_api import V2beta1Pipeline, V2beta1PipelineVersionReference

from pipeline.kubeflow.api.client import Connection, filter_by_name
from pipeline.kubeflow.api.package import Package


def upload_package(connection: Connection, package: Package) -> tuple[V2beta1PipelineVersionReference, bool]:
    """Uploads the package as a version of its pipeline, unless that version exists.

    Returns:
        The version, and whether it is new.

    Raises:
        ApiError: the API rejects the package, or cannot be reached.
    """
    purpose, api, namespace = "upload the package", connection.client.pipelines, connection.namespace

    def find_pipeline() -> Any:
        by_name = filter_by_name(package.pipeline)
        method = api.pipeline_service_list_pipelines
        return next(connection.list_all(purpose, method, "pipelines", namespace=namespace, filter=by_name), None)

    def make_pipeline() -> Any:
        body = V2beta1Pipeline(name=package.pipeline, display_name=package.pipeline, namespace=namespace)
        return connection.call(purpose, api.pipeline_service_create_pipeline, body)

    pipeline_id = connection.create(find_pipeline, make_pipeline)[0].pipeline_id

    def find_version() -> Any:
        versions = connection.list_all(
            purpose,
            api.pipeline_service_list_pipeline_versions,
            "pipeline_versions",
            pipeline_id,
            filter=filter_by_name(package.version),
        )
        return next(versions, None)

    def make_version() -> Any:
        uploads = connection.client.pipeline_uploads
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "package.yaml")
            file.write_text(package.text, "utf-8")
            return connection.call(
                purpose,
                uploads.upload_pipeline_version,
                str(file),
                name=package.version,
                pipelineid=pipeline_id,
                description=f"{package.experiment} on {package.parameters.get('data', '')}",
            )

    version, new = connection.create(find_version, make_version)
    return V2beta1PipelineVersionReference(
        pipeline_id=pipeline_id, pipeline_version_id=version.pipeline_version_id
    ), new
