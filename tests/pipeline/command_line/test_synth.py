"""`yt8m synth`."""

import json


def test_synth_writes_a_data_set_with_its_vocabulary_and_oracle(yt8m, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = yt8m("synth", "--level", "video", "--videos", 40, "--labels", 5, "data")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "40 synthetic video-level videos with 5 labels in data\n"
    assert json.loads((tmp_path / "data" / "oracle.json").read_text())["synthetic"] is True
    assert len((tmp_path / "data" / "vocabulary.csv").read_text().splitlines()) == 6
