"""Kubernetes settings of a step: resources, nodes, volumes, secrets, labels, its user, a time limit."""

from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig

from pipeline.kubeflow.compile.settings import SHARED_MEMORY, ClusterSettings, Node


def resources(node: Node) -> PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec:
    """CPU, memory and GPUs, which the pipeline spec holds."""
    spec = PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec(
        resource_cpu_request=node.cpu,
        resource_cpu_limit=node.cpu,
        resource_memory_request=node.memory,
        resource_memory_limit=node.memory,
    )
    if node.gpus:
        spec.accelerator.resource_type, spec.accelerator.resource_count = node.gpu_type, str(node.gpus)
    return spec


def executor_config(cluster: ClusterSettings, step: str) -> KubernetesExecutorConfig:
    """All other settings, which the platform spec holds.

    Where a field has a plain form and one that takes parameters, both are set: backends before 2.5 read the plain one.
    """
    node, config = cluster.node(step), KubernetesExecutorConfig(image_pull_policy=cluster.image_pull_policy)
    config.node_selector.labels.update(node.node_selector)
    for toleration in node.tolerations:
        config.tolerations.add(**toleration.model_dump())
    for volume in cluster.volumes:
        mount = config.pvc_mount.add(constant=volume.claim, mount_path=volume.path, sub_path=volume.sub_path)
        mount.pvc_name_parameter.runtime_value.constant.string_value = volume.claim
    for secret in cluster.secrets:
        source = config.secret_as_env.add(secret_name=secret.name)
        source.secret_name_parameter.runtime_value.constant.string_value = secret.name
        for variable, key in sorted(secret.env.items()):
            source.key_to_env.add(secret_key=key, env_var=variable)
    for name in cluster.image_pull_secrets:
        pull_secret = config.image_pull_secret.add(secret_name=name)
        pull_secret.secret_name_parameter.runtime_value.constant.string_value = name
    if node.shared_memory:
        config.empty_dir_mounts.add(
            volume_name=SHARED_MEMORY, mount_path="/dev/shm", medium="Memory", size_limit=node.shared_memory
        )
    config.pod_metadata.labels.update({"app.kubernetes.io/part-of": "yt8m", **cluster.labels})
    # The image names its user by number. KFP 2.17 adds the rest of the "restricted" standard; 2.15 ignores this.
    config.security_context.run_as_non_root = True
    if node.timeout_seconds:
        config.active_deadline_seconds = node.timeout_seconds
    return config
