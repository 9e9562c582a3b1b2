"""The page about training: every epoch as numbers and as curves."""

import re

import pytest

from pipeline.reports.run.training import plot


def test_the_training_page_shows_every_epoch_and_marks_the_best(report):
    page = report["training"]
    assert page.rows[1:] == [
        ["1", "0.50000", "0.3100", "0.40000", "0.4100", "1.00e-03", "4", "2.5"],
        ["2", "0.25000", "0.4100", "0.30000", "0.5100", "9.00e-04", "4", "2.5"],
        ["3", "0.16667", "0.5100", "0.35000", "0.6100", "8.10e-04", "4", "2.5"],
    ]
    [marked] = re.findall(r'<tr class="best"><th class="number">(\d+)', page.html)
    assert marked == "2"
    for expected in (
        "Parameters 1,234,567",
        "Best epoch 2 of 3",
        "Stopped early, as the validation loss had stopped falling Parameters",
        "in epoch 2, after 17 of its steps",
        "7.5 s",
    ):
        assert expected in page.text


def test_the_training_page_has_four_curves_with_the_best_epoch_in_the_colour_of_the_text(
    report,
):
    page = report["training"]
    plots = re.findall(r'<svg role="img" aria-label="([^"]*)"(.*?)</svg>', page.html, re.DOTALL)
    assert [label for label, _ in plots] == [
        "Loss by epoch",
        "F1 by epoch",
        "Learning rate by epoch",
        "Seconds by epoch",
    ]
    for _, svg in plots:
        assert "best epoch (2)" in svg
        assert "currentColor" in svg
        assert "mathdefault" not in svg, "a formula, which the page would show as TeX"
    ids = re.findall(r' id="([^"]*)"', page.html)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("losses", "labels"),
    [([0.6, 0.5, 0.42], {"0.44", "0.6"}), ([20.0, 0.5, 0.05], {"0.1", "1", "10"})],
)
def test_the_labels_of_the_loss_are_plain_numbers(losses, labels):
    svg = plot("Loss", [1, 2, 3], {"training": losses}, best=3)
    assert "mathdefault" not in svg
    assert labels <= set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
