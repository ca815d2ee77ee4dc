"""A page as a parser reads it."""

from html.parser import HTMLParser

VOID = {"meta", "br", "img", "link", "path", "input", "circle"}


class Page(HTMLParser):
    """Tables by caption, charts by their name, all text, and every tag and attribute of a page."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.charts, self.tags, self.attributes, self.text = {}, {}, [], [], ""
        self._open, self._cell, self._rows, self._chart = [], None, [], None
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th", "caption"):
            self._cell = ""
        if tag == "svg":
            self._chart = self.charts[dict(attrs)["aria-label"]] = {}
        if tag == "path" and self._chart is not None:
            self._chart.setdefault(dict(attrs)["class"], []).append(dict(attrs)["d"])

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag == "caption":
            self._caption = self._cell
        if tag in ("td", "th"):
            self._rows[-1].append(self._cell)
        if tag == "table":
            self.tables[self._caption] = self._rows
        if tag == "svg":
            self._chart = None

    def handle_data(self, data):
        self.text += data
        if self._cell is not None:
            self._cell += data
