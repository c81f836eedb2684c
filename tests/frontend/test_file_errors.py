"""Files that are refused, and in which words: no ONNX, damaged, external data missing or out of bounds."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto
from onnx_models import WIDTH, Net, random_trits
from skeleton import refusal
from tritloom.frontend import import_onnx

# The file


def test_no_such_file(tmp_path: Path) -> None:
    path = tmp_path / "absent.onnx"
    assert refusal(path).message == f"{path} does not exist"


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.touch()
    assert refusal(path).message == f"{path} is empty"


@pytest.mark.parametrize(
    "content", [b"version https://git-lfs.github.com/spec/v1\n", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04" * 9]
)
def test_not_an_onnx_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    error = refusal(path)
    assert error.message == f"{path} is not an ONNX file"
    assert error.hint == "give the .onnx file that torch.onnx.export wrote (a checkpoint or a .data file is not one)"
    assert error.exit_code == 2


@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_truncated(share: float, repository: Path, tmp_path: Path) -> None:
    whole = (repository / "tests" / "fixtures" / "tiny-baked.onnx").read_bytes()
    path = tmp_path / "model.onnx"
    path.write_bytes(whole[: int(len(whole) * share)])
    error = refusal(path)
    assert error.message.startswith(f"{path} is truncated: it has {int(len(whole) * share):,} bytes of at least")
    assert error.hint == "the download or copy was cut off, or Git LFS left a pointer: fetch the file again"


def test_truncated_in_front_of_the_graph(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.ModelProto(ir_version=10, producer_name="x").SerializeToString())
    assert refusal(path).message == f"{path} is truncated: it holds no graph"


def test_damaged_inside(repository: Path, tmp_path: Path) -> None:
    content = bytearray((repository / "tests" / "fixtures" / "tiny-baked.onnx").read_bytes())
    content[60:400] = b"\xff" * 340
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert str(path) in refusal(path).message


def test_invalid_graph(tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.bitlinear(net.token()))
    model = net.model()
    model.graph.node[-2].input[0] = "nowhere"
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    error = refusal(path)
    assert error.message.startswith(f"{path} is not a valid ONNX model: Nodes in a graph must be topologically sorted")


def test_a_cycle_behind_the_input(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    ends = [onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    nodes = [onnx.helper.make_node("Clip", ["x", "low"], ["y"]), onnx.helper.make_node("Identity", ["y"], ["low"])]
    graph = onnx.helper.make_graph(nodes, "net", ends[:1], ends[1:])
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    assert refusal(path).message.startswith(f"{path} is not a valid ONNX model: Nodes in a graph must be topologically")


# External data


def external(folder: Path) -> Path:
    net = Net()
    net.output("y", net.bitlinear(net.token(), "w", random_trits()))
    path = folder / "net.onnx"
    onnx.save(net.model(), str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    return path


def relocated(path: Path, location: str) -> None:
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())


def test_missing_external_data(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "net.data").unlink()
    error = refusal(path)
    assert error.message == f"external data file 'net.data' of tensor 'table' is missing (looked in {tmp_path})"
    assert error.hint == "copy the .data file that was exported with the model into the same folder"


def test_short_external_data(tmp_path: Path) -> None:
    path = external(tmp_path)
    data = tmp_path / "net.data"
    data.write_bytes(data.read_bytes()[:100])
    assert refusal(path).message == (
        "external data file 'net.data' is too short: tensor 'table' needs bytes 0 to 512, the file has 100"
    )


def test_external_length_against_shape(tmp_path: Path) -> None:
    path = external(tmp_path)
    model = onnx.load(str(path), load_external_data=False)
    next(tensor for tensor in model.graph.initializer if tensor.name == "w").dims[0] = 999
    path.write_bytes(model.SerializeToString())
    assert refusal(path).message == ("tensor 'w' claims 64 bytes in 'net.data', but its shape and type need 7,992")


@pytest.mark.parametrize("location", ["../net.data", "/etc/passwd", "sub/../../net.data"])
def test_external_data_outside_the_folder(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = external(folder)
    (tmp_path / "net.data").write_bytes((folder / "net.data").read_bytes())
    relocated(path, location)
    assert refusal(path).message == f"tensor 'table' points outside the model's folder: '{location}'"


def test_external_data_of_a_constant_node(tmp_path: Path) -> None:
    net = Net()
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[WIDTH], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    net.output("y", net.add("Mul", net.token(), net.add("Constant", value=tensor)))
    assert refusal(net.save(tmp_path)).message == "tensor 'hidden' points outside the model's folder: '/etc/passwd'"


def test_external_link_that_leaves_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = external(folder)
    (folder / "net.data").rename(tmp_path / "elsewhere.data")
    (folder / "net.data").symlink_to(tmp_path / "elsewhere.data")
    assert refusal(path).message == "tensor 'table' points outside the model's folder: 'net.data'"


def test_a_model_and_its_data_linked_into_one_folder_load(tmp_path: Path) -> None:
    """The Hugging Face cache: a snapshot folder of links into `blobs`."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    external(blobs)
    for name in ("net.onnx", "net.data"):
        (blobs / name).rename(blobs / f"hash-of-{name}")
        (snapshot / name).symlink_to(blobs / f"hash-of-{name}")
    assert import_onnx(snapshot / "net.onnx").store.trits("w").shape == (WIDTH, WIDTH)
