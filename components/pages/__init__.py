"""HTML pages that work offline and load nothing.

Their common frame is page.html. run.html adds the parts of a run's pages: a title (`subject`), links to the other pages
(`navigation`: texts by file name without ending, `page` being the current one; may be empty), and a note where data are
`synthetic`.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page_templates(folder: Path) -> Environment:
    """The templates of a folder, which may extend page.html.

    Filters: count (1,234), counted ("video": 1,234 videos), score (0.1234), change (+0.1234), percent (12.3%).
    """
    environment = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,  # values are text, never markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = "{:,}".format
    environment.filters["counted"] = counted
    environment.filters["score"] = "{:.4f}".format
    environment.filters["change"] = "{:+.4f}".format
    environment.filters["percent"] = "{:.1%}".format
    return environment


def counted(number: int, noun: str) -> str:
    """A number of things in words.

    Example:
        >>> counted(1, "video"), counted(1234, "video")
        ('1 video', '1,234 videos')
    """
    return f"{number:,} {noun if number == 1 else noun + 's'}"
