"""The thesis' tables with our runs: numbers, missing runs, changed settings, and the data."""

from statistics import mean, stdev

import pytest

from pipeline.experiments import catalogue
from pipeline.reports.thesis.comparison import compare
from pipeline.reports.thesis.data_sets import THESIS_VIDEOS, percent
from pipeline.reports.thesis.runs import find_runs


@pytest.fixture
def compared(tmp_path):
    return lambda: compare(find_runs([tmp_path / "runs"]))


def lines_of(table, experiment):
    """Lines of an experiment as cells by column."""
    keys = [column.key for column in table.columns]
    return [dict(zip(keys, table.cells(line), strict=True)) for line in table.lines if line.experiment == experiment]


def test_a_run_is_beside_its_published_results(run, compared):
    run("a", "average-2304-1152", seed=3)
    [table] = compared().tables
    assert table.title == "Table 4: Average pooling results on the video level dataset"
    [line] = lines_of(table, "average-2304-1152")
    assert line == {
        "experiment": "average-2304-1152",
        "model.hidden_units": "2304-1152",
        "data": "A (0.739%)",
        "seed": "3",
        "f1_train_published": "0.823",
        "f1_train": "0.8125",
        "f1_validation": "0.6500",
        "f1_test_published": "0.776",
        "f1_test": "0.6405",
        "f1_test_difference": "-0.1355",
        "epochs_published": "8",
        "epochs": "4",
        "best_epoch": "3",
        "minutes_per_epoch_published": "9",
        "minutes_per_epoch": "0.225",  # the median of 60, 12, 9 and 15 seconds is 13.5
        "videos_per_second": "1,725",  # of 383.3, 1916.7, 2555.6 and 1533.3
        "parameters": "9,771,863",
    }


def test_table_rows_without_a_run_have_their_published_results(run, compared):
    run("a", "gru-2x400", data="/data/frame")
    comparison = compared()
    [table] = comparison.tables
    assert [(line.kind, line.experiment) for line in table.lines] == [
        ("not run", "gru-2x1200"),
        ("not run", "gru-2x1200-clipped"),
        ("run", "gru-2x400"),
    ]
    [line] = lines_of(table, "gru-2x1200-clipped")
    assert line["data"] == "not run"
    assert (line["f1_train_published"], line["f1_test_published"]) == ("0.664", "0.670")
    assert (line["model.encoder.units"], line["training.clipvalue"]) == ("1200", "5")
    assert (line["f1_test"], line["f1_test_difference"], line["parameters"]) == ("", "", "")
    assert comparison.tables_without_run == [4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15]
    assert "Tables of the thesis without a run: 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15." in comparison.remarks


def test_every_thesis_row_has_its_line_in_the_order_of_the_thesis(run, compared):
    thesis = [entry for entry in catalogue().values() if entry.published]
    for entry in reversed(thesis):
        run(entry.name, entry.name)
    rows = [(table.number, line.experiment) for table in compared().tables for line in table.lines]
    assert rows == [(entry.published.table, entry.name) for entry in thesis]
    assert len(rows) == 57


@pytest.mark.parametrize(
    ("experiment", "varying"),
    [
        ("average-two-stream-2048", ["hidden layer units", "audio hidden layer units"]),
        ("frame-average-3862-gated", ["hidden layer units", "gating"]),
        ("frame-average-6000-3000-dropout35", ["hidden layer units", "gating", "dropout rate"]),
        ("lstm-1x200", ["layers", "layer units"]),
        ("transformer-1x10-linear", ["heads", "dense units in transformer"]),
        ("dbof-2048", ["clusters", "two stream", "gating"]),
        ("netvlad-100", ["clusters", "gating"]),
        ("netvlad-100-gated-6000-3000-dropout35", ["gating"]),
    ],
)
def test_a_table_has_the_columns_that_the_thesis_varies(run, compared, experiment, varying):
    run("a", experiment)
    [table] = compared().tables
    assert [column.head for column in table.columns if column.key.startswith(("model.", "training."))] == varying


def test_precision_and_recall_are_shown_where_the_thesis_has_them(run, compared):
    run("a", "netvlad-100-gated-6000-3000-dropout35")
    run("b", "netvlad-100")
    plain, best = compared().tables
    [line] = lines_of(best, "netvlad-100-gated-6000-3000-dropout35")
    assert [line[key] for key in ("precision_published", "precision", "recall_published", "recall")] == [
        "0.825",
        "0.8316",
        "0.734",
        "0.5208",
    ]
    assert not {"precision", "recall"} & {column.key for column in plain.columns}


def test_experiments_of_ours_have_a_table_without_published_columns(run, compared):
    run("a", "netvlad-8")
    [table] = compared().tables
    assert (table.title, table.number) == ("Other experiments", None)
    assert [line.experiment for line in table.lines] == ["netvlad-8"]
    assert not [column for column in table.columns if "published" in column.key or "difference" in column.key]


def test_changed_settings_are_named_with_both_values(run, compared):
    changed = (
        "training.max_epochs=10",
        "training.max_hours=200",
        "model.encoder.clusters=8",
        "model.hidden_units=[]",
        "training.clipvalue=5",
        "model.context_gating=false",
    )
    run("a", "netvlad-100-gated", overrides=changed)
    run("b", "netvlad-100")
    comparison = compared()
    [table] = comparison.tables
    remarks = {line.experiment: line.remarks for line in table.lines}
    assert remarks["netvlad-100"] == []
    assert sorted(remarks["netvlad-100-gated"]) == [
        "changed: model.context_gating no instead of yes",
        "changed: model.encoder.clusters 8 instead of 100",
        "changed: model.hidden_units 0 instead of 2304-1152",
        "changed: training.clipvalue 5 instead of no",
        "changed: training.max_hours 200 instead of 120",
        "shortened: training.max_epochs 10 instead of 100",
    ]
    assert "1 of 2 runs had other settings than the catalogue's experiment; the tables name them." in comparison.remarks
    [line] = lines_of(table, "netvlad-100-gated")
    assert line["model.encoder.clusters"] == "8"  # the run's value, not the catalogue's


def test_a_removed_setting_is_named_and_a_later_one_is_not(run, compared):
    path = run("a", "netvlad-100") / "settings.yaml"
    path.write_text(path.read_text().replace("  patience: 3\n", "  sample_frames: true\n"))
    [result] = compared().results
    assert result.changes == ["changed: training.sample_frames yes instead of no"]


def test_runs_of_several_seeds_have_their_mean_and_deviation(run, compared):
    scores = [0.6405, 0.6531, 0.6298]
    for seed, score in enumerate(scores):
        run(f"{seed}", "average-2304-1152", seed=seed, f1=(0.8, 0.65, score), videos=(23_000 + seed, 2_900, 2_950))
    run("again", "average-2304-1152", seed=0, f1=(0.8, 0.65, 0.6405))  # the same seed counts once
    comparison = compared()
    [table] = comparison.tables
    kinds = [line.kind for line in table.lines if line.experiment == "average-2304-1152"]
    assert kinds == ["run"] * 4 + ["mean"]
    line = lines_of(table, "average-2304-1152")[-1]
    assert line["experiment"] == "mean ± deviation of 3 seeds"
    assert line["f1_test"] == f"{mean(scores):.4f} ± {stdev(scores):.4f}"
    assert line["f1_test_difference"] == f"{mean(scores) - 0.776:+.4f}"
    assert line["f1_train"] == "0.8000 ± 0.0000"
    [data] = comparison.data_sets
    assert data.count("train") == "23,000 to 23,002"


@pytest.mark.parametrize(
    "other",
    [
        {"data": "/other"},
        {"split": "id:80/10/10"},
        {"overrides": ("training.max_epochs=10",)},
        {"seed": 0},
    ],
)
def test_runs_that_differ_in_more_than_the_seed_have_no_mean(run, compared, other):
    run("a", "average-2304-1152", seed=0)
    run("b", "average-2304-1152", **{"seed": 1, **other})
    [table] = compared().tables
    assert [line.kind for line in table.lines].count("mean") == 0


def test_runs_with_other_validation_or_test_data_have_no_mean(run, compared):
    for seed, own in enumerate(("validation_data=/v", "validation_data=/w", "test_data=/v")):
        run(f"run-{seed}", "average-2304-1152", seed=seed, split="file:90/10", overrides=(f"data.{own}",))
    comparison = compared()
    assert [(data.validation_data, data.test_data) for data in comparison.data_sets] == [
        ("", "/v"),
        ("/v", ""),
        ("/w", ""),
    ]
    assert [line.kind for line in comparison.tables[0].lines].count("mean") == 0


def test_synthetic_data_and_samples_are_called_so(run, compared):
    run("a", "average-2304-1152")
    run("b", "netvlad-100", data="/data/demo", synthetic=True, videos=(960, 120, 120))
    run("c", "netvlad-100", data="/data/frame", videos=(1_181_805, 159_991, 160_908))
    comparison = compared()
    assert [(data.name, data.pattern, data.words) for data in comparison.data_sets] == [
        ("A", "/data/frame", "as many training videos as in the thesis: 1,181,805, there 1,181,805"),
        ("B", "/data/yt8m/video", "a sample: 23,000 of 3,111,135 training videos (0.739%)"),
        ("C", "/data/demo", "synthetic data: generated, the scores say nothing about real videos"),
    ]
    shown = [line["data"] for table in comparison.tables for line in lines_of(table, "netvlad-100")]
    assert shown == ["A (full size)", "C (synthetic)"]
    assert comparison.remarks[:3] == [
        "Data B: a sample: 23,000 of 3,111,135 training videos (0.739%).",
        "Data C: synthetic data: generated, the scores say nothing about real videos.",
        "Scores below the published ones on such data do not mean that the reproduction failed.",
    ]


def test_scores_of_segments_are_called_so(run, compared):
    run("a", "segment-average-2304-1152", data="/data/segments")
    run("b", "frame-average-2304-1152", data="/data/segments", videos=(1_181_805, 159_991, 160_908))
    assert [(data.level, data.short, data.words) for data in compared().data_sets] == [
        ("frame", "A (full size)", "as many training videos as in the thesis: 1,181,805, there 1,181,805"),
        ("segment", "B (segments)", "rated segments: the scores are of five seconds each, the thesis has none"),
    ]


def test_full_data_need_no_warning(run, compared):
    run("a", "average-2304-1152", videos=tuple(THESIS_VIDEOS["video"].values()))
    assert not [remark for remark in compared().remarks if "Data" in remark or "reproduction" in remark]


@pytest.mark.parametrize(
    ("share", "text"), [(1, "100%"), (0.99999, "99.9%"), (0.0719239, "7.19%"), (0.00007, "0.007%"), (1.5, "150%")]
)
def test_no_share_below_one_is_shown_as_100_percent(share, text):
    assert percent(share) == text


def test_an_epoch_that_ran_out_of_time_does_not_make_the_data_smaller(run, compared):
    path = run("a", "average-2304-1152") / "training_log.json"
    path.write_text('"videos": 12'.join(path.read_text().rsplit('"videos": 23000', 1)))
    assert compared().data_sets[0].count("train") == "23,000"
