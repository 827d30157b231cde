"""Gates of a report as JUnit's XML, which build servers show: a suite for each engine, a case for each gate."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from toolkit.console import printable
from toolkit.gates import GateResult, shown
from toolkit.report.result import EngineReport, Report


def render_junit(report: Report) -> str:
    """The file's text. What was not measured has failed, with the reason."""
    root = Element("testsuites")
    for index, engine in enumerate(report.engines):
        if engine.gates:
            root.append(suite(report, engine, index))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def suite(report: Report, engine: EngineReport, index: int) -> Element:
    """One engine. Attributes and order are what the strictest of JUnit's schemas wants."""
    failures = sum(not gate.passed for gate in engine.gates)
    made = Element(
        "testsuite",
        {
            "name": printable(engine.name),
            "package": "toolkit.report",
            "id": str(index),
            "timestamp": report.created[: len("2026-11-29T08:00:00")],
            "hostname": printable(report.machine.name) or "unknown",
            "tests": str(len(engine.gates)),
            "failures": str(failures),
            "errors": "0",
            "time": "0",
        },
    )
    properties = SubElement(made, "properties")
    for name in ("bundle", "digest", "precision", "backend", "backend_version"):
        SubElement(properties, "property", {"name": name, "value": printable(getattr(engine, name))})
    for gate in engine.gates:
        made.append(case(engine, gate))
    SubElement(made, "system-out")
    SubElement(made, "system-err")
    return made


def case(engine: EngineReport, gate: GateResult) -> Element:
    """One gate."""
    title = f"{gate.name} {gate.operator} {shown(gate.limit)}"
    made = Element("testcase", {"name": printable(title), "classname": printable(engine.name), "time": "0"})
    if not gate.passed:
        kind = "not measured" if gate.value is None else "missed"
        failure = SubElement(made, "failure", {"message": printable(str(gate)), "type": kind})
        failure.text = printable(f"{engine.name} ({engine.bundle}): {gate}")
    return made
