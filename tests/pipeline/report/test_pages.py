"""X."""


def test_names_reasons_and_paths_are_text_and_never_markup(frame_run: Run) -> None:
    with_summary(frame_run, quarantined=1, first_quarantined=[SCRIPT])
    with_verdict(frame_run, reasons=[SCRIPT], champion_version=SCRIPT, champion={"f1": 0, "precision": 0, "recall": 0})
    frame_run.scores |= {"data": SCRIPT, "model_version": SCRIPT}
    frame_run.scores["splits"]["test"]["source"] = SCRIPT
    frame_run.settings = frame_run.settings.model_copy(update={"experiment": SCRIPT})
    frame_run.steps[-1].properties["pushed_model"]["pushed_version"] = SCRIPT
    for html in frame_run.report().values():
        page = Reader(html)
        assert SCRIPT in page.text
        assert "script" not in page.tags


@pytest.mark.parametrize("pattern", [r"\bsrc\s*=", r"@import", r"url\((?!#)", r"<(?:script|iframe|object|embed)"])
def test_no_page_loads_anything(report: dict[str, str], pattern: str) -> None:
    for html in report.values():
        assert not re.search(pattern, html)
        for link in Reader(html).links:
            assert link in {*(f"{page}.html" for page in PAGES), "data:,"} or link.startswith("#")


def test_the_pages_link_to_each_other(report: dict[str, str]) -> None:
    for html in report.values():
        assert {f"{page}.html" for page in PAGES} <= set(Reader(html).links)


def test_the_same_run_gives_the_same_report(frame_run: Run) -> None:
    assert frame_run.report() == frame_run.report()
