"""`yt8m tune` on several machines: KerasTuner's variables are checked before anything is written or waited for."""

import pytest

PLACE = {"KERASTUNER_TUNER_ID": "worker-1", "KERASTUNER_ORACLE_IP": "10.0.0.1", "KERASTUNER_ORACLE_PORT": "8000"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"KERASTUNER_TUNER_ID": "../../evil"}, "KERASTUNER_TUNER_ID is '../../evil', expected chief, or a name"),
        ({"KERASTUNER_TUNER_ID": ""}, "KERASTUNER_TUNER_ID is '', expected chief, or a name for a worker"),
        ({"KERASTUNER_ORACLE_IP": ""}, "KERASTUNER_ORACLE_IP is '', expected the address of the chief"),
        ({"KERASTUNER_ORACLE_PORT": "abc"}, "KERASTUNER_ORACLE_PORT is 'abc', expected the port of the chief"),
    ],
)
def test_a_wrong_place_in_a_search_is_refused(yt8m, monkeypatch, tmp_path, changes, message):
    monkeypatch.chdir(tmp_path)
    for name, value in (PLACE | changes).items():
        monkeypatch.setenv(name, value)
    answer = yt8m("tune", "average-576", "--run", "nowhere", "--out", "search")
    assert (answer.code, answer.err.count("\n")) == (2, 1) and answer.err.startswith(f"error: {message}")
    assert not list(tmp_path.iterdir())
