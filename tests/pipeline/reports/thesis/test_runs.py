"""Which run folders are found, and the errors for those that cannot be read."""

import re
import shutil

import pytest

from models.errors import InputError
from pipeline.reports.thesis.runs import find_runs


def names(runs):
    return [run.settings.experiment for run in runs.finished]


def test_a_run_folder_and_folders_of_runs_two_levels_deep_are_found_once(run, tmp_path):
    folder = run("average", "average-2304-1152")
    run("frame/netvlad", "netvlad-100-gated")
    runs = find_runs([folder, tmp_path / "runs", folder])
    assert names(runs) == ["average-2304-1152", "netvlad-100-gated"]
    assert runs.finished[0].name == str(folder)
    assert runs.finished[0].scores.splits.test.f1 == 0.6405
    assert runs.finished[0].log.best_epoch == 2


def test_deeper_folders_and_run_folders_are_not_searched(run, tmp_path):
    outer = run("outer", "average-2304-1152")
    run("outer/pipeline_root", "average-576")
    run("1/2/3", "average-576")
    assert names(find_runs([tmp_path / "runs"])) == ["average-2304-1152"]
    assert names(find_runs([outer])) == ["average-2304-1152"]


@pytest.mark.parametrize("missing", ["scores.json", "training_log.json", "settings.yaml"])
def test_an_unfinished_run_is_listed_with_what_it_lacks(run, tmp_path, missing):
    run("a", "average-2304-1152")
    unfinished = run("b", "average-576")
    (unfinished / missing).unlink()
    runs = find_runs([tmp_path / "runs"])
    assert names(runs) == ["average-2304-1152"]
    assert runs.left_out == {str(unfinished): f"no {missing}"}


def test_settings_and_published_values_of_another_version_can_be_read(run):
    folder = run("old", "average-2304-1152")
    path = folder / "settings.yaml"
    path.write_text(path.read_text().replace("  patience: 3\n", "  sample_frames: true\n").replace("  epochs: 8\n", ""))
    [found] = find_runs([folder]).finished
    assert found.settings.training["sample_frames"] is True


@pytest.mark.parametrize(("key", "value"), [("f1", "NaN"), ("f1", "1e400"), ("f1", "-1"), ("videos", "0")])
def test_scores_that_no_run_has_are_refused(run, key, value):
    folder = run("a", "average-576")
    path = folder / "scores.json"
    path.write_text(re.sub(f'"{key}": [0-9.]+', f'"{key}": {value}', path.read_text()))
    with pytest.raises(InputError, match=r"scores.json: splits.train has f1 \S+ of [\d,]+ videos, expected 0 to 1"):
        find_runs([folder])


def test_an_encoder_without_a_name_is_refused(run):
    folder = run("a", "average-576")
    path = folder / "settings.yaml"
    path.write_text(re.sub("encoder:", "encoder: 5\n  other:", path.read_text()))
    with pytest.raises(InputError, match=r"settings.yaml: model: encoder is 5, expected keys with values"):
        find_runs([folder])


def test_a_folder_without_runs_is_named(tmp_path):
    with pytest.raises(InputError, match=f"RUNS: '{tmp_path}' has no run in it"):
        find_runs([tmp_path])
    with pytest.raises(InputError, match="RUNS: '/nowhere': No such file or directory, expected a folder of runs"):
        find_runs([tmp_path / "/nowhere"])


def test_only_unfinished_runs_are_named(run, tmp_path):
    (run("a", "average-576") / "scores.json").unlink()
    with pytest.raises(InputError, match=r"no run has finished: .*/a \(no scores.json\)$"):
        find_runs([tmp_path / "runs"])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("scores.json", "{\n", "scores.json, line 2: not JSON: Expecting property name"),
        ("scores.json", "[]", "scores.json: .*expected keys with values|scores.json: .*valid dictionary"),
        ("scores.json", '{"synthetic": 7}', "scores.json: synthetic is 7: .*bool"),
        ("scores.json", "\udc80", "scores.json: byte 0 is not UTF-8 text"),
        ("settings.yaml", "a: [", "settings.yaml, line 2: not YAML: "),
        ("settings.yaml", "experiment: x\nlevel: sound\n", "settings.yaml: level is 'sound'"),
        ("training_log.json", "{", "training_log.json: not a training log: "),
        ("training_log.json", '{"parameters": 1}', "training_log.json: best_epoch is 0, .* the log has 0 epochs"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_one_line(run, file, content, message):
    folder = run("a", "average-576")
    (folder / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message) as raised:
        find_runs([folder])
    assert str(folder / file) in str(raised.value) and "\n" not in str(raised.value)


def test_a_link_to_a_run_is_the_run(run, tmp_path):
    folder = run("a", "average-576")
    (tmp_path / "runs" / "z").symlink_to(folder)
    assert names(find_runs([tmp_path / "runs"])) == ["average-576"]


def test_a_copy_is_another_run(run, tmp_path):
    shutil.copytree(run("a", "average-576"), tmp_path / "runs" / "copy")
    runs = find_runs([tmp_path / "runs"])
    assert [run.log.parameters for run in runs.finished] == [9_771_863] * 2
