from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.comparing.chart import BARS, columns_of, height_of, render
from tests.benchmarks import reports

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*sections):
    """The chart, which is well-formed XML."""
    return ElementTree.fromstring(render(reports.report(*sections)))


def texts(chart):
    return [element.text for element in chart.iter(f"{SVG}text")]


def test_panel():
    """A panel tells the scenario, the unit, each server and its figure."""
    assert texts(drawn(reports.hello())) == [
        "Hello, World!",
        "requests per CPU second, more is better",
        "mynet, epoll reactor",
        "60,000",
        "nginx",
        "122,000",
    ]


def test_unit():
    """What is counted on WebSockets is no requests."""
    assert "deliveries per CPU second, more is better" in texts(drawn(reports.fanout()))


def test_less_is_better():
    """A reader is told when short bars are the good ones."""
    assert "milliseconds, less is better" in texts(drawn(reports.start()))


def test_bars():
    """A bar is as long as its median; what reaches farthest fills the panel."""
    bars = list(drawn(reports.hello()).iter(f"{SVG}rect"))
    lengths = [float(bar.attrib["width"]) for bar in bars]
    assert lengths == pytest.approx([60 / 125 * BARS, 122 / 125 * BARS], abs=0.1)
    assert [bar.attrib["class"] for bar in bars] == ["bar ours", "bar"]


def test_spread():
    """A line goes from the least to the most of the rounds."""
    line = list(drawn(reports.hello()).iter(f"{SVG}line"))[1]
    length = float(line.attrib["x2"]) - float(line.attrib["x1"])
    assert length == pytest.approx(5 / 125 * BARS, abs=0.2)


def test_everything_is_in_view():
    """Panels are below and beside one another, and none is cut off."""
    sections = [reports.hello(), reports.idle(), reports.start(), reports.hello()]
    columns = columns_of(sections)
    assert [section for column in columns for section in column] != []
    chart = drawn(*sections)
    _, _, width, height = map(float, chart.attrib["viewBox"].split())
    assert height > max(sum(map(height_of, column)) for column in columns)
    places = [group.attrib["transform"] for group in chart.iter(f"{SVG}g")]
    assert len(set(places)) == 4
    assert all(float(x.attrib["x"]) < width for x in chart.iter(f"{SVG}rect"))


def test_nothing_left():
    """A scenario in which all failed has no panel."""
    assert texts(drawn(reports.failed(), reports.start()))[0] == "Start"
    assert texts(drawn(reports.failed())) == []


def test_dark():
    """Who prefers dark pages gets other colours."""
    assert "@media (prefers-color-scheme: dark)" in render(reports.report(reports.start()))
