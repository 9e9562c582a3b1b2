"""What the benchmark of readers makes of its rounds, and which ratios its check lets pass."""

import json

import check_input
import input_readers
import pytest
from check_input import RATIOS, read_ratios, regressions, write_ratios
from input_readers import OURS, RAW, READERS, Cost


def rounds(*cpu):
    return [{"cpu": seconds, "wall": seconds / 2, "memory": 10 * seconds} for seconds in cpu]


def cost(reader, cpu, raw, level="frame"):
    return Cost.of(level, reader, rounds(*cpu), rounds(*raw), videos=1000)


def test_a_cost_is_the_median_of_rounds_with_their_range():
    measured = cost("all frames", [2.0, 4.0, 3.0], [4.0, 4.0, 4.0])
    assert measured.row == [
        "frame",
        "all frames",
        "3 (2-4)",
        "1.5 (1-2)",
        "0.75",
        "0.75",
        "40",
    ]


def test_a_ratio_compares_the_same_round():
    """The second half of the rounds is three times as slow, for both readers."""
    assert cost("all frames", [1.0, 3.0], [2.0, 6.0]).cpu_ratio == input_readers.Spread(0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("measured", "committed", "line"),
    [
        ({("frame", "all frames"): 0.59}, {("frame", "all frames"): 0.5}, None),
        ({("frame", "all frames"): 0.3}, {("frame", "all frames"): 0.5}, None),
        (
            {("frame", "all frames"): 0.62},
            {("frame", "all frames"): 0.5},
            "frame, all frames: 0.620 times the CPU time of a raw read, 24% more than 0.500",
        ),
        ({("video", "means"): 1.0}, {}, "video, means: has no ratio in input_ratios.json: run with --update"),
        (
            {},
            {("video", "means"): 1.0},
            "video, means: has a ratio in input_ratios.json, but no such reader is measured: run with --update",
        ),
    ],
)
def test_a_ratio_may_be_a_fifth_higher_than_the_committed_one(measured, committed, line):
    assert list(regressions(measured, committed).values()) == ([line] if line else [])


def test_only_ratios_and_the_machine_are_written(tmp_path):
    file = tmp_path / "ratios.json"
    ratios = {("frame", "all frames"): 0.25, ("video", "means"): 0.5}
    write_ratios(file, ratios)
    assert read_ratios(file) == ratios
    assert set(json.loads(file.read_text())) == {"machine", "cpu_ratios"}


def test_the_committed_ratios_are_those_of_the_readers_of_training():
    assert set(read_ratios(RATIOS)) == {(level, reader) for level, readers in OURS.items() for reader in readers}


@pytest.fixture
def measuring(monkeypatch):
    """Lets the nth measurement find the nth ratio of all readers; returns what was measured."""
    measurements = []

    def replace(*ratios):
        def measure(folder, rounds, readers):
            measurements.append(readers)
            ratio = ratios[len(measurements) - 1]
            return [cost(name, [ratio], [1.0], level) for level, names in readers.items() for name in (RAW, *names)]

        monkeypatch.setattr(check_input, "measure", measure)
        return measurements

    return replace


COMMITTED = {(level, reader): 0.5 for level, readers in OURS.items() for reader in readers}


def test_what_is_worse_only_once_passes(measuring, tmp_path):
    measurements = measuring(0.7, 0.5)
    assert check_input.check(tmp_path, 3, COMMITTED) == []
    assert len(measurements) == 2


def test_only_what_was_worse_is_measured_again(measuring, tmp_path):
    measurements = measuring(0.5, 0.9)
    lines = check_input.check(tmp_path, 3, {**COMMITTED, ("frame", "all frames"): 0.3})
    assert lines == ["frame, all frames: 0.500 times the CPU time of a raw read, 67% more than 0.300"]
    assert measurements[1] == {"frame": ["all frames"], "video": []}


@pytest.mark.parametrize(("ratio", "code"), [(0.5, 0), (0.7, 1)])
def test_the_exit_code_says_whether_there_is_a_regression(ratio, code, measuring, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_input, "RATIOS", tmp_path / "ratios.json")
    measuring(0.5, ratio, ratio)
    check_input.main(["--update", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        check_input.main(["--data", str(tmp_path)])
    assert ended.value.code == code
    assert len(capsys.readouterr().out.splitlines()) == (5 if code else 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rounds", "0"], "argument --rounds: '0', expected a whole number above 0"),
        (["--levels", "shot"], "argument --levels: invalid choice: 'shot' (choose from 'frame', 'video')"),
        (["--data", __file__], f"argument --data: {__file__!r} is not a folder"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(options, message, capsys):
    with pytest.raises(SystemExit):
        input_readers.main(options)
    assert capsys.readouterr().err.splitlines()[-1].endswith(message)


def test_training_is_measured_beside_a_raw_read():
    assert all(readers[0] == RAW and {*OURS[level]} < {*readers} for level, readers in READERS.items())
