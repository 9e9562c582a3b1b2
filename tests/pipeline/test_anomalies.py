"""X."""


def test_anomalies_are_told_in_words_by_split(frame_run: Run) -> None:
    line = "test: num_frames: Out-of-range values: Unexpectedly large value: 400."
    assert describe_anomalies(frame_run.outputs("ExampleValidator")["anomalies"]) == [line]
    text = Reader(frame_run.report()["anomalies"]).text
    assert "train none found validation none found test num_frames : Out-of-range values. Unexpectedly large" in text


def test_every_reason_of_an_anomaly_has_a_line(tmp_path: Path) -> None:
    schema = tfdv.load_schema_text(str(Path(components.schema.__file__).with_name("frame.pbtxt")))
    columns = [
        pa.array([[b"a"], [b"b"]]),
        pa.array([[1], [2]], pa.list_(pa.int64())),
        pa.array([[3, 4], None], pa.list_(pa.int64())),
    ]
    batch = pa.RecordBatch.from_arrays(columns, [ID, LABELS, NUM_FRAMES])
    statistics = stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions(schema=schema))
    anomalies = tfdv.validate_statistics(statistics, schema)
    for split in SPLITS:
        (tmp_path / f"Split-{split}").mkdir()
        (tmp_path / f"Split-{split}" / "SchemaDiff.pb").write_bytes(
            anomalies.SerializeToString() if split == "validation" else b""
        )
    first, second = describe_anomalies(str(tmp_path))
    assert first == "validation: num_frames: Superfluous values: Some examples have more values than expected."
    assert second.startswith("validation: num_frames: Column dropped: ")


def test_a_split_that_is_too_small_or_empty_is_an_anomaly(tmp_path: Path) -> None:
    schema = tfdv.load_schema_text(str(Path(components.schema.__file__).with_name("frame.pbtxt")))
    for feature in schema.feature:
        feature.presence.Clear()
    schema.dataset_constraints.min_examples_count = 5
    for split, videos in (("train", 5), ("validation", 3), ("test", 0)):
        statistics = statistics_pb2.DatasetFeatureStatisticsList()
        statistics.datasets.add(num_examples=videos)
        (tmp_path / f"Split-{split}").mkdir()
        found = tfdv.validate_statistics(statistics, schema)
        (tmp_path / f"Split-{split}" / "SchemaDiff.pb").write_bytes(found.SerializeToString())
    assert describe_anomalies(str(tmp_path)) == [
        "validation: Low num examples in dataset: The dataset has 3 examples, which is fewer than expected.",
        "test: No data: the statistics hold no videos",
    ]


def test_video_level_data_without_anomalies_say_so_for_every_split(video_run: Run) -> None:
    assert describe_anomalies(video_run.outputs("ExampleValidator")["anomalies"]) == []
    assert Reader(video_run.report()["anomalies"]).text.count("none found") == len(SPLITS)
