"""The catalogue: the thesis' 57 rows as published; a user's own experiments, whose mistakes are one line each."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from models.errors import InputError
from pipeline.experiments import ALIASES, Experiment, catalogue, find_experiment, list_experiments
from tuner.settings import TuneSettings
from tuner.space import search_space

OURS = {"netvlad-8", "nextvlad-128", "netvlad-100-gated-moe", "transformer-grid"}
ROWS = {4: 14, 5: 3, 6: 12, 7: 4, 8: 3, 9: 3, 10: 3, 11: 1, 12: 6, 13: 3, 14: 3, 15: 2}


@pytest.fixture
def write(tmp_path):
    """Writes an experiment file."""

    def write(content) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_the_catalogue_holds_every_row_of_the_thesis_tables_in_their_order():
    places = [(entry.published.table, entry.published.row) for entry in catalogue().values() if entry.published]
    assert places == [(table, row) for table, rows in ROWS.items() for row in range(1, rows + 1)]
    assert Counter(table for table, _ in places) == ROWS and len(places) == 57
    assert {entry.name for entry in catalogue().values() if not entry.published} >= OURS


def test_the_rows_agree_with_the_thesis(real_data):
    results = real_data.parent / "thesis" / "results.csv"
    if not results.exists():
        pytest.skip(f"the thesis' results are not at hand ({results})")
    with results.open() as file:
        rows = list(csv.DictReader(file))
    ours = [as_row(entry) for entry in catalogue().values() if entry.published]
    assert [row["name"] for row in ours] == [row["name"] for row in rows]
    assert ours == [{column: number(value) for column, value in row.items()} for row in rows]


def number(text):
    """A value of a table as a number, so that 5 equals 5.0; names stay text."""
    try:
        return float(text)
    except ValueError:
        return text


def as_row(entry):
    """An experiment in the columns of the thesis' results; numbers as floats, '' for settings that do not apply."""
    model, training, published = entry.model, entry.training, entry.published
    encoder = model.encoder.model_dump()
    recurrent = encoder["name"] in ("lstm", "gru")
    row = {
        "name": entry.name,
        "table": published.table,
        "row": published.row,
        "dataset": entry.level,
        "encoder": encoder["name"],
        "clusters": encoder.get("clusters", ""),
        "rnn_layers": encoder["layers"] if recurrent else "",
        "rnn_units": encoder.get("units", ""),
        "attention_heads": encoder.get("heads", ""),
        "attention_dense_units": encoder.get("dense_units", ""),
        "two_stream": "yes" if model.two_stream else "no",
        "hidden_units": "-".join(map(str, model.hidden_units)),
        "hidden_units_audio": "-".join(map(str, model.hidden_units_audio)),
        "context_gating": "yes" if model.context_gating else "no",
        "dropout": model.dropout or "",
        "pooled_dropout": model.pooled_dropout or "",
        "gradient_clip_value": training.clipvalue or "",
        "learning_rate": training.learning_rate,
        "max_epochs": "" if training.max_epochs == 100 else training.max_epochs,
        "epochs": published.epochs,
        "minutes_per_epoch": published.minutes_per_epoch,
        "f1_train": published.f1_train,
        "f1_test": published.f1_test,
        "test_precision": "" if published.precision is None else published.precision,
        "test_recall": "" if published.recall is None else published.recall,
    }
    return {column: float(value) if isinstance(value, int | float) else number(value) for column, value in row.items()}


def test_thesis_rows_train_by_the_thesis_recipe():
    for entry in catalogue().values():
        if not entry.published:
            continue
        encoder, training = entry.model.encoder, entry.training
        average = encoder.name == "average"
        assert training.decay_rate == (1.0 if average else 0.95), entry.name
        assert training.frame_sampling == ("random" if hasattr(encoder, "clusters") else "all"), entry.name
        assert training.jit_compile == ("auto" if average else False)
        common = (training.batch_size, training.decay_samples, training.patience, training.min_delta)
        assert common == (128, 1_500_000, 3, 1e-6)
        assert (training.max_hours, training.sampled_frames, training.clipnorm) == (120, 300, None)
        assert not (entry.model.normalize_frames or entry.model.experts or entry.model.gate_batch_norm), entry.name
        assert not getattr(encoder, "batch_norm", False), entry.name


def test_aliases_name_experiments():
    assert find_experiment("thesis-best") is catalogue()["netvlad-100-gated-6000-3000-dropout35"]
    assert not set(ALIASES) & set(catalogue())


def test_an_unknown_experiment_names_the_closest():
    with pytest.raises(InputError, match="experiment is 'netvlad-9', allowed: netvlad-8"):
        find_experiment("netvlad-9")


def test_a_base_gives_the_settings_that_an_entry_lacks(write):
    file = write("""
        wide: {base: netvlad-100-gated, model: {encoder: {clusters: 64, batch_norm: true}, hidden_units: [8]}}
        wider: {base: wide, model: {encoder: {clusters: 128}}, training: {batch_size: 7}}
    """)
    base, wide, wider = find_experiment("netvlad-100-gated"), *(find_experiment(n, file) for n in ("wide", "wider"))
    assert (wide.model.encoder.clusters, wide.model.encoder.batch_norm, wide.model.hidden_units) == (64, True, (8,))
    assert (wide.level, wide.training, wide.model.context_gating) == (base.level, base.training, True)
    assert wider == Experiment(
        name="wider",
        level="frame",
        model=wide.model.model_copy(update={"encoder": wide.model.encoder.model_copy(update={"clusters": 128})}),
        training=base.training.model_copy(update={"batch_size": 7}),
    )
    assert base.published and wide.published is None


def test_an_encoder_with_another_name_replaces_the_bases(write):
    file = write("mine: {base: thesis-best, model: {encoder: {name: netfv, clusters: 5}}}")
    encoder = find_experiment("mine", file).model.encoder
    assert encoder.model_dump() == {"name": "netfv", "clusters": 5, "batch_norm": False}
    assert find_experiment("mine", file).model.hidden_units == (6000, 3000)


def test_an_entry_can_reset_a_setting_of_its_base(write):
    file = write("mine: {base: gru-2x1200-clipped, training: {clipvalue: null, clipnorm: 1}}")
    assert find_experiment("mine", file).training.clipnorm == 1


def test_own_experiments_follow_the_catalogue_and_do_not_change_it(write):
    file = write("mine: {base: netvlad-8}")
    assert list(catalogue(file)) == [*catalogue(), "mine"]
    assert "mine" not in catalogue()
    file.write_text("other: {base: netvlad-8}")
    assert list(catalogue(file)) == [*catalogue(), "other"]


def test_what_is_shown_is_an_entry_with_the_same_settings(write):
    shown = find_experiment("transformer-3x10").as_yaml()
    file = write(shown.replace("transformer-3x10:", "mine:"))
    expected = find_experiment("transformer-3x10").model_copy(update={"name": "mine", "published": None})
    assert find_experiment("mine", file) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("mine: {bse: netvlad-8}", "mine: bse is not a setting, allowed: base"),
        ("mine: {base: netvlad-9}", "mine: base is 'netvlad-9', allowed: earlier experiments, say netvlad-8"),
        ("mine: {base: [netvlad-8]}", "mine: base is ['netvlad-8'], allowed: earlier experiments, say netvlad-8"),
        ("mine: {base: later}\nlater: {base: netvlad-8}", "mine: base is 'later', allowed: earlier experiments"),
        ("mine: {base: mine}", "mine: base is 'mine', allowed: earlier experiments"),
        ("netvlad-8: {base: netvlad-100}", "netvlad-8: the catalogue has an experiment of this name"),
        ("thesis-best: {base: netvlad-8}", "thesis-best: the catalogue has an experiment of this name"),
        ("mine: {base: netvlad-8, model: {dropuot: 0.1}}", "mine: model.dropuot is not a setting, allowed: dropout"),
        (
            "mine: {base: netvlad-8, model: {encoder: {units: 4}}}",
            "mine: model.encoder.units is not a setting, allowed: ",
        ),
        ("mine: {base: netvlad-8, model: {dropout: 1}}", "mine: model.dropout is 1: input should be less than 1"),
        ("mine: {base: netvlad-8, model: 5}", "mine: model is 5, expected keys with values"),
        ("mine: {base: netvlad-8, training: null}", "mine: training is None, expected keys with values"),
        ("mine: {base: netvlad-8, level: clip}", "mine: level is 'clip': input should be 'video', 'frame' or 'segme"),
        (
            "mine: {base: ensemble, level: segment}",
            "model.encoder.name is 'ensemble', allowed with level: segment: oth",
        ),
        (
            "mine: {base: netvlad-8, level: segment, training: {frame_sampling: random}}",
            "training.frame_sampling is 'random', allowed with level: segment, whose examples have five frames: all",
        ),
        (
            "mine: {base: netvlad-8, level: segment, training: {teachers: [runs/a]}}",
            "training.teachers is set, allowed with level: segment: none (they predict whole videos)",
        ),
        ("mine: {base: netvlad-8, level: video}", "mine: model.encoder.name is 'netvlad', which needs level: frame"),
        ("mine: {base: netvlad-8, name: you}", "mine: name is not a setting, allowed: base, level, model, training"),
        (
            "mine: {base: netvlad-8, 1: 2}",
            "mine: 1 is not a setting, allowed: base, level, model, training, tune, published",
        ),
        (
            "mine: {level: frame, model: {encoder: {name: lstm, unit: 3}}}",
            "model.encoder.unit is not a setting, allowed: unit",
        ),
        ("mine: {base: netvlad-8, training: {clipvalue: 1, clipnorm: 1}}", "mine: training: clipvalue and clipnorm"),
        ("mine: {level: frame}", "mine: model is missing"),
        ("mine: netvlad-8", "mine: is 'netvlad-8', expected keys with values"),
        ("mine:", "mine: is None, expected keys with values"),
        ("a/b: {base: netvlad-8}", "a/b: a name becomes the name of a folder, allowed: 1 to 100 letters, digits and"),
        (".: {base: netvlad-8}", ".: a name becomes"),
        ('"a\\nb": {base: netvlad-8}', "'a\\nb': a name becomes"),
        ("8: {base: netvlad-8}", "8: a name becomes"),
        ("a b: {base: netvlad-8}", "a b: a name becomes"),
        (f"{'a' * 101}: {{base: netvlad-8}}", "a: a name becomes"),
        ("mine: {base: netvlad-8}\nmine: {base: lstm-1x200}", "line 2: not YAML: 'mine' appears twice"),
        ("mine:\n  base: x\n bad: [", "line 3: not YAML: "),
        ("mine: {a: 1}\n? [x]\n: 2", "not YAML: "),
        ("mine: !!python/object:os.system {}", "line 1: not YAML: could not determine a constructor for the tag"),
        ("mine: \x07", "not YAML: "),
        ("- netvlad-8", "holds ['netvlad-8'], expected names of experiments"),
        ("", "holds None, expected names of experiments"),
        (b"\xff\xfe\x00", "byte 0 is not UTF-8 text, expected a YAML file"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_that_names_file_experiment_and_key(write, content, message):
    file = write(content)
    with pytest.raises(InputError) as error:
        catalogue(file)
    assert str(error.value).startswith(str(file)) and message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    for path, reason in ((tmp_path / "no.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError, match=f"^--experiment-file is '{re.escape(str(path))}': {reason}.* YAML file$"):
            catalogue(path)


def test_anchors_and_merge_keys_of_yaml_work(write):
    file = write("""
        one: &one {base: netvlad-8, level: frame}
        two: {<<: *one, training: {batch_size: 3}}
        three: {<<: *one, base: lstm-1x200}
    """)
    assert find_experiment("two", file).training.batch_size == 3
    assert find_experiment("three", file).model.encoder.name == "lstm"


def test_experiments_are_found_by_table_and_encoder(write):
    assert [entry.name for entry in list_experiments(table=11)] == ["transformer-3x10"]
    assert {entry.published.table for entry in list_experiments(encoder="transformer") if entry.published} == {10, 11}
    assert list_experiments(table=15, encoder="gru") == []
    assert list_experiments() == list(catalogue().values())
    assert list_experiments(write("mine: {base: netvlad-8}"), encoder="netvlad")[-1].name == "mine"
    with pytest.raises(InputError, match=r"^--table is 3, allowed: 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15$"):
        list_experiments(table=3)
    with pytest.raises(
        InputError,
        match=r"^--encoder is 'vlad', allowed: average, dbof, ensemble, gru, lstm, neighbours, netfv, netvlad, next",
    ):
        list_experiments(encoder="vlad")


def test_json_and_yaml_of_an_experiment_are_plain_data():
    entry = find_experiment("nextvlad-128")
    assert Experiment.model_validate(json.loads(entry.model_dump_json())) == entry
    assert yaml.safe_load(entry.as_yaml())["nextvlad-128"]["model"]["encoder"]["groups"] == 8


def test_every_value_of_every_encoders_search_space_is_allowed():
    for experiment in catalogue().values():
        space = search_space(TuneSettings(), experiment.model)
        tuned = experiment.model_dump(mode="json") | {"tune": {"space": space}}
        assert Experiment.model_validate(tuned).tune.space == space


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("model.encoder.clusters", "[8, 2]", "tune.space.model.encoder.clusters: model.encoder.clusters is 2: "),
        ("model.encoder.cluster", "[8]", "tune.space.model.encoder.cluster: model.encoder.cluster is not a setting"),
        ("model.encoder.name", "[lstm]", "tune.space.model.encoder.name cannot be tuned, allowed: settings of model"),
        ("training.teachers", "[[a], [b]]", "tune.space.training.teachers cannot be tuned"),
        ("training.warm_start", "[true]", "tune.space.training.warm_start cannot be tuned"),
        ("level", "[video]", "tune.space.level cannot be tuned"),
        ("model.dropout.rate", "[0.1]", "mine: model.dropout.rate is not a setting: dropout has no parts"),
    ],
)
def test_a_search_of_an_unknown_setting_is_refused(tmp_path, key, values, message):
    file = tmp_path / "mine.yaml"
    file.write_text(f"mine:\n  base: netvlad-8\n  tune: {{space: {{{key}: {{type: choice, values: {values}}}}}}}\n")
    with pytest.raises(InputError, match=re.escape(message)):
        catalogue(file)
