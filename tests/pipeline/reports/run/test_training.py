"""The page about training: every epoch as numbers and as curves."""

import re

import pytest

from pipeline.reports.run.training import plot


def test_the_training_page_shows_every_epoch_and_marks_the_best(report):
    page = report["training"]
    assert page.rows[1:] == [
        ["1", "0.50000", "0.3100", "0.40000", "0.4100", "0.001", "4", "2.5", "0.0"],
        ["2", "0.25000", "0.4100", "0.30000", "0.5100", "0.0009", "4", "2.5", "0.1"],
        ["3", "0.16667", "0.5100", "0.35000", "0.6100", "0.00081", "4", "2.5", "0.2"],
    ]
    [marked] = re.findall(r'<tr class="best"><th class="number">(\d+)', page.html)
    assert marked == "2"
    for expected in (
        "Parameters 1,234,567",
        "Best epoch 2 of 3, whose weights the model has",
        "Stopped early, as the validation loss no longer fell Parameters",
        "in epoch 2, after 17 steps",
        "7.5 s, of which 0.3 s waiting for input",
        "Videos 4 training videos per epoch, 2 validation videos",
    ):
        assert expected in page.text


def test_the_training_page_has_four_curves_with_the_best_epoch_in_the_colour_of_the_text(
    report,
):
    page = report["training"]
    plots = re.findall(r'<svg role="img" aria-label="([^"]*)"(.*?)</svg>', page.html, re.DOTALL)
    assert [label for label, _ in plots] == [
        "Loss by epoch: training from 0.5 to 0.1667; validation from 0.4 to 0.35; the best epoch is 2",
        "F1 by epoch: training from 0.31 to 0.51; validation from 0.41 to 0.61; the best epoch is 2",
        "Learning rate by epoch: after the epoch from 0.001 to 0.00081; the best epoch is 2",
        "Seconds by epoch: training and validation from 2.5 to 2.5; waiting for input from 0 to 0.2; "
        "the best epoch is 2",
    ]
    for _, svg in plots:
        assert "best epoch (2)" in svg
        assert "currentColor" in svg
        assert "mathdefault" not in svg, "a formula, which the page would show as TeX"
    ids = re.findall(r' id="([^"]*)"', page.html)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("losses", "labels"),
    [([0.6, 0.5, 0.42], {"0.45", "0.50"}), ([20.0, 0.5, 0.05], {"0.1", "1", "10"})],
)
def test_the_labels_of_the_loss_are_plain_numbers(losses, labels):
    svg = plot("Loss", [1, 2, 3], {"training": losses}, best=3)
    assert "mathdefault" not in svg
    assert labels <= set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
