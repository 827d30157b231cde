"""JUnit's XML, held to what the strictest of its schemas asks for."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests.toolkit.report.samples import ALL, four, hostile, nothing
from tests.toolkit.report.values import HOSTILE
from toolkit.console import printable
from toolkit.report.junit import render_junit
from toolkit.report.result import Report

REQUIRED = {"name", "package", "id", "timestamp", "hostname", "tests", "failures", "errors", "time"}


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_its_shape(make: object) -> None:
    report: Report = make()  # type: ignore[operator]
    root = ElementTree.fromstring(render_junit(report))
    assert root.tag == "testsuites" and {child.tag for child in root} <= {"testsuite"}
    assert len(root) == sum(bool(engine.gates) for engine in report.engines)
    for suite in root:
        assert set(suite.attrib) == REQUIRED and suite.attrib["name"] and suite.attrib["hostname"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        tags = [child.tag for child in suite]
        cases = suite.findall("testcase")
        assert tags == ["properties", *["testcase"] * len(cases), "system-out", "system-err"]
        assert int(suite.attrib["tests"]) == len(cases) > 0
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        for case in cases:
            assert set(case.attrib) == {"name", "classname", "time"}
            assert all(set(child.attrib) == {"message", "type"} for child in case)


def test_a_gate_that_is_missed_says_why() -> None:
    root = ElementTree.fromstring(render_junit(four()))
    failures = {
        (suite.attrib["name"], case.attrib["name"]): failure
        for suite in root
        for case in suite.iter("testcase")
        if (failure := case.find("failure")) is not None
    }
    assert len(failures) == 5
    missed = failures["lenet-fp32-onnxruntime", "p99_ms <= 0.3"]
    assert missed.attrib == {"message": "p99_ms<=0.3 missed: 0.5768", "type": "missed"}
    unknown = failures["lenet-int8-onnxruntime", "drop_points <= 0.5"]
    assert unknown.attrib == {"message": "drop_points<=0.5 missed: not measured: no labels", "type": "not measured"}


def test_hostile_names_are_kept_without_what_xml_forbids() -> None:
    suite = ElementTree.fromstring(render_junit(hostile()))[0]
    assert suite.attrib["name"] == printable(f"{HOSTILE}0")
    assert suite.attrib["hostname"] == printable(HOSTILE)


def test_without_gates_there_is_no_suite() -> None:
    assert list(ElementTree.fromstring(render_junit(nothing()))) == []
