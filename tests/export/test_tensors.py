"""Files of arrays are read whatever their format, and no pickle gets to run anything."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clipwarden_export.errors import SourceError
from clipwarden_export.importers.tensors import SOLE, read_tensors

NUMBERS = np.arange(6, dtype=np.float32).reshape(2, 3) / 7


def write(path: Path, *, protocol: int = 4) -> Path:
    tensor = torch.from_numpy(NUMBERS.copy())
    match path.suffix:
        case ".npy":
            np.save(path, NUMBERS)
        case ".npz":
            np.savez(path, prompts=NUMBERS)
        case ".safetensors":
            save_file({"prompts": tensor.to(torch.bfloat16 if path.stem == "half" else torch.float32)}, path)
        case ".pth":
            torch.save({"prompts": tensor}, path)
        case ".pt":
            torch.save(tensor, path)
        case _:
            path.write_bytes(pickle.dumps(NUMBERS, protocol=protocol))
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.safetensors", "a.pth", "a.pt", "prompts.p", "a.pickle"])
def test_every_format_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    found = read_tensors(write(tmp_path / name), pickle_named=name)
    assert set(found) <= {SOLE, "prompts"}
    array = next(iter(found.values()))
    assert array.dtype == np.float32
    assert np.array_equal(array, NUMBERS)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol_and_of_plain_lists_are_read(protocol: int, tmp_path: Path) -> None:
    found = read_tensors(write(tmp_path / "a.p", protocol=protocol), pickle_named="a.p")
    assert np.array_equal(found[SOLE], NUMBERS)
    (tmp_path / "a.p").write_bytes(pickle.dumps({"prompts": NUMBERS.tolist()}, protocol=protocol))
    assert np.array_equal(read_tensors(tmp_path / "a.p", pickle_named="a.p")["prompts"], NUMBERS)


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    found = read_tensors(write(tmp_path / "half.safetensors"))["prompts"]
    assert found.dtype == np.float32
    assert np.allclose(found, NUMBERS, rtol=1e-2)


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.bin", "a.p", "a.pickle"])
@pytest.mark.parametrize("named", [None, "b.p"])
def test_a_pickle_that_was_not_named_is_not_opened(name: str, named: str | None, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"whatever")
    with pytest.raises(SourceError, match=f"--allow-pickle {name}"):
        read_tensors(tmp_path / name, pickle_named=named)


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


class Call:
    """Pickles as a call of numpy's own, with arguments that numpy never writes."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.reduced


RECONSTRUCT = np.empty(0).__reduce__()[0]
FORGED = {
    "objects from bytes": Call(np.ndarray, (1,), np.dtype("O"), b"A" * 8),
    "memory never written": Call(np.ndarray, (100, 100), np.dtype("f4")),
    "an array without a state": Call(RECONSTRUCT, np.ndarray, (100, 100), np.dtype("f4")),
    "objects": np.array([object], dtype=object),
    "records": np.zeros(2, dtype=[("a", "f4"), ("b", "O")]),
    "words": np.array(["a"]),
}


@pytest.mark.parametrize("forgery", list(FORGED))
def test_a_pickle_cannot_forge_an_array(forgery: str, tmp_path: Path) -> None:
    """Numpy's own functions would read memory that is not the file's, or take bytes for objects: a crash, or worse."""
    (tmp_path / "forged.p").write_bytes(pickle.dumps([FORGED[forgery]], protocol=4))
    try:
        (found,) = read_tensors(tmp_path / "forged.p", pickle_named="forged.p").values()
    except SourceError:
        return
    assert found.size == 0


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f2", ">f8", "i4", "u1"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickled_numbers_of_every_type_and_byte_order_are_read(kind: str, protocol: int, tmp_path: Path) -> None:
    numbers = np.asfortranarray(np.arange(6).reshape(2, 3).astype(kind))
    (tmp_path / "a.p").write_bytes(pickle.dumps(numbers, protocol=protocol))
    assert np.array_equal(read_tensors(tmp_path / "a.p", pickle_named="a.p")[SOLE], np.arange(6).reshape(2, 3))


@pytest.mark.parametrize("name", ["bomb.p", "bomb.pth"])
def test_a_pickle_that_calls_anything_is_refused_and_nothing_runs(name: str, tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    if name.endswith(".pth"):
        torch.save({"prompts": Bomb(harm)}, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(pickle.dumps([NUMBERS, Bomb(harm)]))
    with pytest.raises(SourceError):
        read_tensors(tmp_path / name, pickle_named=name)
    assert not harm.exists()


def test_what_is_no_array_of_numbers_is_refused_by_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    (tmp_path / "cut.safetensors").write_bytes(b"\x00\x01")
    (tmp_path / "prompts.txt").write_text("0.1 0.2")
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    torch.save(torch.nn.Linear(2, 1), tmp_path / "module.pt")
    (tmp_path / "pointer.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    for name, sentence in (
        ("words.npy", "not numbers"),
        ("cut.safetensors", "cannot be read"),
        ("prompts.txt", "write the arrays as .safetensors, .npy or .npz"),
        ("list.pt", "no state dict"),
        ("module.pt", r"holds more than tensors, such as a whole module\.$"),
        ("pointer.pt", "git lfs pull"),
        ("absent.npy", "There is no file"),
    ):
        with pytest.raises(SourceError, match=sentence):
            read_tensors(tmp_path / name, pickle_named=name)
