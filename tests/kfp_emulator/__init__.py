"""Kubeflow Pipelines without a cluster: what open-source KFP 2.15 to 2.17 does, for tests of what runs on it.

Running packages:
    emulator.py       Emulator: runs a compiled package to its end, over several runs of one cluster.
    driver.py         API server, compiler and driver: what is checked and resolved before a container starts.
    launcher.py       What is done around a container's command: download, placeholders, upload.
    metadata.py       ML Metadata, with what its conversions lose.
    platform_spec.py  The Kubernetes half of a package: volumes, secrets, variables.
    object_store.py   The object store, in a folder.
    pods/             Containers as processes in mount namespaces, and faults that end them from outside.
    sdk_runner.py     The same packages under `kfp.local`, the SDK's own runner.

Answering clients:
    api/              ApiServer: the v2beta1 REST API on a loopback port, for `kfp.Client` and what uses it.

fixtures.py holds what tests of a pipeline share with the tests of the emulator, which lie in tests/.
Code that mirrors a rule of KFP names the Go function or file it is taken from (kubeflow/pipelines, backend/src).
"""
