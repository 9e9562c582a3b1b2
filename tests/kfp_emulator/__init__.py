"""Emulates open-source Kubeflow Pipelines 2.15 to 2.17 without a cluster, for tests.

Running packages:
    emulator.py       Emulator: runs a compiled package to its end, over several runs of one cluster.
    driver.py         API server, compiler and driver: checks and resolves before a container starts.
    launcher.py       Download, placeholders and upload around a container's command.
    retries.py        Argo: whether and when a failed task is retried.
    metadata.py       ML Metadata, with its lossy conversions.
    platform_spec.py  The Kubernetes half of a package: volumes, secrets, variables.
    kubernetes_rules.py  What Kubernetes refuses in a pod.
    object_store.py   The object store, in a folder.
    pods/             Containers as processes in mount namespaces, and faults that kill them.
    sdk_runner.py     The same packages under `kfp.local`, the SDK's own runner.

Answering clients:
    api/              ApiServer: the v2beta1 REST API on a loopback port, for `kfp.Client` and its users.

fixtures.py holds the fixtures that tests of a pipeline share with the emulator's own tests in tests/.
Code that mirrors a rule of KFP names the Go function or file that it is taken from (kubeflow/pipelines, backend/src).
"""
