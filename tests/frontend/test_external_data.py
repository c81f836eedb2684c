"""A corpus of models whose external data is not what it should be: each is refused with tensor and file named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import WIDTH, Net, random_trits
from skeleton import refusal
from tritloom.frontend import import_onnx

Entries = dict[str, str]
Where = Callable[[onnx.ModelProto], TensorProto]


def model(folder: Path) -> Path:
    """`table`, `w` and the constant `hidden` of an attribute, all in `net.data`."""
    net = Net()
    hidden = helper.make_tensor("hidden", TensorProto.FLOAT, [1, WIDTH], np.ones(WIDTH, np.float32).tobytes(), raw=True)
    x = net.add("Mul", net.token(), net.add("Constant", value=hidden))
    net.output("y", net.bitlinear(x, "w", random_trits()))
    path = folder / "net.onnx"
    onnx.save(
        net.model(), path, save_as_external_data=True, location="net.data", size_threshold=0, convert_attribute=True
    )
    return path


def initializer(name: str) -> Where:
    return lambda proto: next(tensor for tensor in proto.graph.initializer if tensor.name == name)


def attribute(proto: onnx.ModelProto) -> TensorProto:
    return next(node.attribute[0].t for node in proto.graph.node if node.op_type == "Constant")


TENSORS: dict[str, Where] = {"table": initializer("table"), "w": initializer("w"), "hidden": attribute}


def changed(path: Path, where: Where, change: Callable[[TensorProto], None]) -> None:
    proto = onnx.load(path, load_external_data=False)
    change(where(proto))
    path.write_bytes(proto.SerializeToString())


def entry(**new: str | None) -> Callable[[TensorProto], None]:
    """Set entries, or take them away."""

    def change(tensor: TensorProto) -> None:
        kept = [(entry.key, entry.value) for entry in tensor.external_data if entry.key not in new]
        del tensor.external_data[:]
        for key, value in [*kept, *new.items()]:
            if value is not None:
                tensor.external_data.add(key=key, value=value)

    return change


def twice(tensor: TensorProto) -> None:
    tensor.external_data.add(key="location", value="net.data")


def embedded_too(tensor: TensorProto) -> None:
    tensor.raw_data = b"\0" * 8


def dims(*sizes: int) -> Callable[[TensorProto], None]:
    def change(tensor: TensorProto) -> None:
        tensor.dims[:] = sizes
        entry(length=None)(tensor)

    return change


def kind(number: int) -> Callable[[TensorProto], None]:
    def change(tensor: TensorProto) -> None:
        tensor.data_type = number

    return change


LOCATIONS = {
    "parent": "../net.data",
    "through a folder": "sub/../../net.data",
    "dot and parent": "./../net.data",
    "out and in again": "folder/../net.data",
    "absolute": "/etc/passwd",
    "device": "/dev/zero",
    "process": "/proc/self/environ",
    "empty": "",
    "this folder": ".",
    "a folder": "folder",
    "missing": "other.data",
    "in a missing folder": "no/such/net.data",
    "a drive": "C:\\windows\\win.ini",
    "backslashes": "..\\net.data",
    "home": "~/net.data",
    "variable": "$HOME/net.data",
    "address": "https://example.org/net.data",
    "file address": "file:///etc/passwd",
    "zero byte": "net.data\0.txt",
    "too long": "x" * 5000,
    "below a file": "net.data/net.data",
    "queue": "queue",
    "link to a file outside": "outside-link",
    "link to a link outside": "outside-link-2",
    "folder that is a link": "folder-link/secret",
    "link to a device": "device-link",
    "link to nothing": "dangling-link",
    "links in a circle": "circle",
    "hard link to a file outside": "hard-outside",
    "hard link inside": "hard-inside",
}

NUMBERS: dict[str, Callable[[TensorProto], None]] = {
    **{f"offset {at}": entry(offset=at) for at in ("-1", "0x10", "1.5", "1e3", " 4", "", "many", "9" * 20)},
    **{f"offset beyond {at}": entry(offset=at) for at in ("100000", str(2**40), str(2**61))},
    **{f"length {size}": entry(length=size) for size in ("-64", "0", "1", "100000", str(2**61), "all", "64.0", "")},
    "entry twice": twice,
    "no location": entry(location=None),
    "no entries": lambda tensor: tensor.ClearField("external_data"),
    "data in the model, too": embedded_too,
    "more rows than the file": dims(10**6, WIDTH),
    "product overflows": dims(2**33, 2**33),
    "product wraps to zero": dims(2**32, 2**32),
    "negative": dims(-1, WIDTH),
    "type undefined": kind(0),
    "type string": kind(TensorProto.STRING),
    "type unknown": kind(99),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model alone."""
    return model(tmp_path_factory.mktemp("made")).parent


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A model's folder with all that its data must not be."""
    outside, inside = tmp_path / "outside", tmp_path / "model"
    (outside).mkdir()
    inside.mkdir()
    for name in ("net.onnx", "net.data"):
        shutil.copy(made / name, inside)
    shutil.copy(inside / "net.data", tmp_path / "net.data")
    (outside / "secret").write_bytes(bytes(100_000))
    (inside / "folder").mkdir()
    os.mkfifo(inside / "queue")
    for name, target in {
        "outside-link": outside / "secret",
        "outside-link-2": inside / "outside-link",
        "folder-link": outside,
        "device-link": Path("/dev/zero"),
        "dangling-link": inside / "nothing",
        "circle": inside / "circle",
    }.items():
        (inside / name).symlink_to(target)
    (inside / "hard-outside").hardlink_to(outside / "secret")
    (inside / "own").write_bytes(bytes(100_000))
    (inside / "hard-inside").hardlink_to(inside / "own")
    return inside


CASES = [
    (tensor, f"location: {what}", entry(location=location))
    for tensor in ("w", "hidden")
    for what, location in LOCATIONS.items()
]
CASES += [(tensor, what, change) for tensor in ("table", "hidden") for what, change in NUMBERS.items()]


IDS = [f"{tensor}: {what}" for tensor, what, _ in CASES]


@pytest.mark.parametrize(("tensor", "change"), [(tensor, change) for tensor, _, change in CASES], ids=IDS)
def test_refused(tensor: str, change: Callable[[TensorProto], None], folder: Path) -> None:
    changed(folder / "net.onnx", TENSORS[tensor], change)
    proto = onnx.load(folder / "net.onnx", load_external_data=False)
    location = next((e.value for e in TENSORS[tensor](proto).external_data if e.key == "location"), "")
    message = refusal(folder / "net.onnx").message
    assert f"tensor '{tensor}'" in message
    assert f"'{location[:80]}" in message


def test_the_absolute_path_of_its_own_data(folder: Path) -> None:
    changed(folder / "net.onnx", TENSORS["w"], entry(location=str(folder / "net.data")))
    assert "tensor 'w' points outside the model's folder: '" in refusal(folder / "net.onnx").message


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 60
    assert len({(case[0], case[1]) for case in CASES}) == len(CASES)


def test_unchanged_it_loads(folder: Path) -> None:
    assert np.array_equal(import_onnx(folder / "net.onnx").store.trits("w"), random_trits())


@pytest.mark.parametrize("size", [0, 100])
def test_a_file_that_was_cut_off(size: int, folder: Path) -> None:
    os.truncate(folder / "net.data", size)
    assert "external data file 'net.data' is too short: tensor '" in refusal(folder / "net.onnx").message


def test_data_in_a_folder_below(folder: Path) -> None:
    (folder / "net.data").rename(folder / "folder" / "net.data")
    proto = onnx.load(folder / "net.onnx", load_external_data=False)
    for where in (*proto.graph.initializer, attribute(proto)):
        entry(location="folder/net.data")(where)
    (folder / "net.onnx").write_bytes(proto.SerializeToString())
    assert np.array_equal(import_onnx(folder / "net.onnx").store.trits("w"), random_trits())


def test_the_hugging_face_cache(tmp_path: Path) -> None:
    """models--x/snapshots/<revision>/onnx holds relative links into models--x/blobs."""
    made, root = tmp_path / "made", tmp_path / "models--x"
    snapshot, blobs = root / "snapshots" / "0a1b2c" / "onnx", root / "blobs"
    for path in (made, snapshot, blobs):
        path.mkdir(parents=True)
    model(made)
    for name in ("net.onnx", "net.data"):
        (made / name).rename(blobs / f"sha-of-{name}")
        (snapshot / name).symlink_to(Path("..", "..", "..", "blobs", f"sha-of-{name}"))
    assert np.array_equal(import_onnx(snapshot / "net.onnx").store.trits("w"), random_trits())


def test_a_link_into_another_cache(tmp_path: Path) -> None:
    """Data that link elsewhere than the model file does."""
    test_the_hugging_face_cache(tmp_path)
    snapshot = tmp_path / "models--x" / "snapshots" / "0a1b2c" / "onnx"
    (tmp_path / "elsewhere").write_bytes((snapshot / "net.data").read_bytes())
    (snapshot / "net.data").unlink()
    (snapshot / "net.data").symlink_to(tmp_path / "elsewhere")
    assert "points outside the model's folder: 'net.data'" in refusal(snapshot / "net.onnx").message


def test_what_was_checked_is_what_is_read(folder: Path) -> None:
    """The name is another file's after the check."""
    imported = import_onnx(folder / "net.onnx")
    (folder / "other").write_bytes(b"\x07" * (folder / "net.data").stat().st_size)
    (folder / "other").rename(folder / "net.data")
    assert np.array_equal(imported.store.trits("w"), random_trits())


def test_a_file_that_became_shorter(folder: Path) -> None:
    imported = import_onnx(folder / "net.onnx")
    os.truncate(folder / "net.data", 10)
    with pytest.raises(Exception, match="is too short: tensor 'w'"):
        imported.store.trits("w")
