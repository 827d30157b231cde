"""`toolkit export BUNDLE --format triton`, held to Triton's own definition of its configuration. No server runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from runtime.bundle import Bundle
from runtime.errors import ToolkitError
from runtime.spec import BatchRange
from tests.command import ROOT, assert_clean_failure, toolkit
from tests.tiny import CLASSES, LABELS, SIDE
from toolkit.triton import config, quoted, server_command, write_model


def parsed(text: str) -> Any:
    """As the server reads a configuration: unknown fields and wrong types are errors."""
    from google.protobuf import descriptor_pool, message_factory, text_format

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile((ROOT / "tests" / "data" / "triton_model_config.pb").read_bytes())
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))
    return text_format.Parse(text, kind())


def changed(bundle: Bundle, **fields: Any) -> Bundle:
    return Bundle(bundle.path, structs.replace(bundle.manifest, **fields), bundle.spec, bundle.probe)


def test_a_bundle_becomes_a_model_of_a_repository(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("export", tiny_int8_bundle, "--format", "triton", "-o", "models", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    name = tiny_int8_bundle.name
    assert json.loads(done.stdout) == {"model": name, "folder": f"models/{name}", "target": "openvino"}
    folder = tmp_path / "models" / name
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == ["1/model.onnx", "config.pbtxt", "labels.txt", "warmup/probe"]
    bundle = Bundle.open(tiny_int8_bundle)
    assert (folder / "1/model.onnx").read_bytes() == bundle.model_path.read_bytes()
    assert (folder / "labels.txt").read_text().splitlines() == list(LABELS)
    found = parsed((folder / "config.pbtxt").read_text())
    assert (found.name, found.backend, found.default_model_filename) == (name, "openvino", "model.onnx")
    assert found.parameters["SKIP_OV_DYNAMIC_BATCHSIZE"].string_value == "YES"
    assert found.max_batch_size == bundle.manifest.batch.largest
    (given,), (answer,) = found.input, found.output
    assert (given.name, list(given.dims)) == (bundle.spec.inputs[0].name, [SIDE, SIDE, 1])
    assert (answer.name, list(answer.dims)) == (bundle.spec.output.name, [CLASSES])
    assert answer.label_filename == "labels.txt"
    assert found.parameters["toolkit.bundle"].string_value == bundle.manifest.digest


def test_it_is_warmed_up_with_the_probe_at_the_sizes_that_count(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    bundle = changed(Bundle.open(tiny_int8_bundle), batch=BatchRange(1, 4, 16))
    folder = write_model(bundle, tmp_path, "tiny", force=False)
    found = parsed((folder / "config.pbtxt").read_text())
    assert [warm_up.batch_size for warm_up in found.model_warmup] == [1, 4, 16]
    assert list(found.dynamic_batching.preferred_batch_size) == [4, 16]
    for warm_up in found.model_warmup:
        ((name, value),) = warm_up.inputs.items()
        assert name == bundle.spec.inputs[0].name
        data = np.fromfile(folder / "warmup" / value.input_data_file, np.uint8)  # of one image, whatever the size
        np.testing.assert_array_equal(data.reshape(value.dims), bundle.probe.images[0])


def test_a_bundle_for_single_images_batches_none(tiny_int8_bundle: Path) -> None:
    found = parsed(config(changed(Bundle.open(tiny_int8_bundle), batch=BatchRange(1, 1, 1)), "tiny"))
    assert found.max_batch_size == 1
    assert not found.HasField("dynamic_batching")
    assert [warm_up.batch_size for warm_up in found.model_warmup] == [1]


def test_a_bundle_for_onnx_runtime_runs_on_it(tiny_int8_bundle: Path) -> None:
    found = parsed(config(changed(Bundle.open(tiny_int8_bundle), target="onnxruntime"), "tiny"))
    assert (found.platform, found.backend) == ("onnxruntime_onnx", "")


def test_a_plan_goes_with_where_it_may_run(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(tiny_int8_bundle, tmp_path / "bundle"))
    (path / "engine.plan").write_bytes(b"a plan")
    bundle = Bundle.open(tiny_int8_bundle)
    entry = next(iter(bundle.manifest.files.values()))
    bundle = Bundle(
        path,
        structs.replace(
            bundle.manifest,
            files={**bundle.manifest.files, "engine.plan": entry},
            fingerprint={"version": "10.13.3.9", "gpu": 'NVIDIA "Örin"'},
        ),
        bundle.spec,
        bundle.probe,
    )
    folder = write_model(bundle, tmp_path / "models", "tiny", force=False)
    assert (folder / "1" / "model.plan").read_bytes() == b"a plan"
    found = parsed((folder / "config.pbtxt").read_text())
    assert found.platform == "tensorrt_plan"
    assert found.parameters["toolkit.gpu"].string_value == 'NVIDIA "Örin"'
    assert found.parameters["toolkit.version"].string_value == "10.13.3.9"


def test_a_plan_without_weights_is_refused(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    bundle = changed(Bundle.open(tiny_int8_bundle), target="tensorrt", fingerprint={"weights": "stripped"})
    with pytest.raises(ToolkitError, match="has no weights") as caught:
        write_model(bundle, tmp_path / "models", None, force=False)
    assert "without --strip-weights" in caught.value.hint and not (tmp_path / "models").exists()


def test_a_plan_with_code_of_its_own_is_served_with_the_option_for_it(tiny_int8_bundle: Path) -> None:
    bundle = Bundle.open(tiny_int8_bundle)
    assert server_command(bundle, Path("my models")) == "tritonserver --model-repository='my models'"
    compatible = changed(bundle, fingerprint={"host_code": "needed"})
    assert server_command(compatible, Path("models")).endswith(" --backend-config=tensorrt,version-compatible=true")


def test_what_triton_cannot_ask_for_is_refused(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="batches of 4 to 8, and Triton passes on single images"):
        write_model(
            changed(Bundle.open(tiny_int8_bundle), batch=BatchRange(4, 4, 8)), tmp_path / "models", None, force=False
        )
    with pytest.raises(ToolkitError, match="is built for tensorrt-rtx, and Triton has no backend for that"):
        write_model(
            changed(Bundle.open(tiny_int8_bundle), target="tensorrt-rtx"), tmp_path / "models", None, force=False
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a/b", "..", "", "dög", "two words"])
def test_a_name_that_is_no_folder_of_a_repository_is_refused(tiny_int8_bundle: Path, tmp_path: Path, name: str) -> None:
    if not name:
        assert write_model(Bundle.open(tiny_int8_bundle), tmp_path, name, force=False).name == tiny_int8_bundle.name
        return
    with pytest.raises(ToolkitError, match="is no name for a model"):
        write_model(Bundle.open(tiny_int8_bundle), tmp_path, name, force=False)


def test_a_model_that_is_there_is_replaced_only_when_told_and_other_files_stay(
    tiny_int8_bundle: Path, tmp_path: Path
) -> None:
    bundle = Bundle.open(tiny_int8_bundle)
    folder = write_model(bundle, tmp_path, "tiny", force=False)
    (folder / "config.pbtxt").write_text("mine")
    (folder / "2").mkdir()
    with pytest.raises(ToolkitError, match="is there already"):
        write_model(bundle, tmp_path, "tiny", force=False)
    assert (folder / "config.pbtxt").read_text() == "mine"
    write_model(bundle, tmp_path, "tiny", force=True)
    assert parsed((folder / "config.pbtxt").read_text()).name == "tiny"
    assert (folder / "2").is_dir()


def test_the_next_command_can_be_copied(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("export", tiny_int8_bundle, "--format", "triton", "-o", "my models", cwd=tmp_path)
    assert "--model-repository='my models'" in done.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--format", "triton"], "needs a model repository"),
        (["--format", "triton", "-o", "models", "--int8"], "--int8 is about making a graph"),
        (["--format", "triton", "-o", "models", "--batch", "1"], "--batch is about making a graph"),
        (["--name", "x"], "--name is about --format triton"),
    ],
)
def test_options_that_do_not_fit_are_a_usage_error(
    tiny_int8_bundle: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = toolkit("export", tiny_int8_bundle, *arguments, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr


def test_what_is_no_bundle_is_named(tmp_path: Path) -> None:
    assert_clean_failure(toolkit("export", "lenet", "--format", "triton", "-o", "models", cwd=tmp_path), "lenet")


@pytest.mark.parametrize("text", ["plain", 'with "quotes" and \\', "dög", "tab\t"])
def test_strings_come_back(text: str) -> None:
    assert parsed(f"name: {quoted(text)}").name == text
