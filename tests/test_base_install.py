"""The base install: everything that a deployed student needs, without any extra's packages."""

import json
import subprocess
import sys

import numpy as np
import pytest

from toy_onnx import write_recogniser

EXTRAS_ONLY = [
    "torch",
    "safetensors",
    "anny",
    "embreex",
    "matplotlib",
    "jinja2",
    "onnx",
    "onnxscript",
    "sklearn",
    "torch_pruning",
    "starlette",
    "uvicorn",
    "openvino",
    "numcodecs",
    "ray",
    "tensorboard",
    "timm",
    "wandb",
]

# A module that is None in sys.modules cannot be imported, as if it were not installed.
FORBID = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS_ONLY!r})); "


def run(code, *arguments):
    process = subprocess.run(
        [sys.executable, "-c", FORBID + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_the_guard_works():
    for package in EXTRAS_ONLY:
        with pytest.raises(AssertionError, match=rf"import of {package} halted"):
            run(f"import {package}")


def test_the_package_and_every_noun_of_the_command_line_import():
    out = run("import evenface; from evenface.cli.main import main; main(['--help'])")
    for noun in ("assets", "teacher", "doctor"):
        assert noun in out


def test_help_loads_nothing_heavy():
    heavy = ["torch", "onnxruntime", "cv2", "pyarrow", "PIL", "pydantic"]
    code = f"""
import sys
from evenface.cli.main import build_app
build_app()
print([name for name in {heavy!r} if name in sys.modules])
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"


@pytest.mark.parametrize("batch", ["N", 1])
def test_faces_are_embedded(tmp_path, batch):
    toy = write_recogniser(tmp_path / "toy.onnx", batch=batch)
    faces = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), dtype=np.uint8)
    np.save(tmp_path / "faces.npy", faces)
    code = """
import numpy as np
from evenface.teachers import load_teacher
folder = sys.argv[1]
embeddings = load_teacher(folder + "/toy.onnx").embed(np.load(folder + "/faces.npy"))
np.save(folder + "/embeddings.npy", embeddings)
"""
    run(code, tmp_path)
    expected = toy.expected((faces.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5)
    embeddings = np.load(tmp_path / "embeddings.npy")
    np.testing.assert_allclose(embeddings, expected, rtol=1e-4, atol=1e-5)


def test_a_data_set_is_embedded_from_the_command_line(tmp_path):
    write_recogniser(tmp_path / "toy.onnx")
    code = """
import numpy as np
from pathlib import Path
from evenface.cli.main import main
from evenface.data.manifest import Manifest
from evenface.data.store import ImageStoreWriter
folder = Path(sys.argv[1])
with ImageStoreWriter(folder / "faces") as writer:
    writer.append(np.zeros((3, 112, 112, 3), np.uint8))
Manifest.from_columns(
    folder / "faces", index=range(3), identity="a", origin="synthetic", dataset="d", licence="l"
).write(folder / "faces" / "manifest.parquet")
main(["teacher", "embed", str(folder / "toy.onnx"), str(folder / "faces"),
      "--out", str(folder / "cache")])
"""
    assert "3 images × 2 views" in run(code, tmp_path)


def test_weights_of_pytorch_are_refused_naming_the_extra(tmp_path):
    code = """
from evenface.errors import MissingDependencyError
from evenface.teachers import load_teacher
try:
    load_teacher(sys.argv[1] + "/weights.safetensors", backbone="iresnet18")
except MissingDependencyError as error:
    print(error)
"""
    assert 'pip install "evenface[train]"' in run(code, tmp_path)


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("study run smoke --out new", "train,report,render"),
        ("data render new --identities-per-group 2 --images-per-identity 2", "render"),
        ("teacher import weights.safetensors --out new.safetensors", "train"),
        ("train student-mini --set data=faces --out new", "train"),
        ("export run", "export"),
        ("prune run --keep 0.5 --out new", "prune"),
        ("demo-app", "demo"),
    ],
)
def test_a_command_of_an_extra_names_it_first(tmp_path, command, extra):
    code = FORBID + "from evenface.cli.main import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", code, *command.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert f'Install the extra: pip install "evenface[{extra}]"' in process.stderr
    assert not list(tmp_path.iterdir())


def test_a_study_is_planned(tmp_path):
    code = "from evenface.cli.main import main; main(['study', 'plan', 'smoke', '--out', 'x'])"
    assert "unknown without torch" in run(code)


def test_the_doctor_calls_the_base_healthy():
    out = run("from evenface.cli.main import main; main(['doctor', '--json'])")
    assert json.loads(out)["healthy"] is True


def test_photographs_are_verified_from_the_command_line(tmp_path):
    write_recogniser(tmp_path / "toy.onnx")
    code = """
import numpy as np
from PIL import Image
from evenface.cli.main import main
folder = sys.argv[1]
Image.fromarray(np.zeros((112, 112, 3), np.uint8)).save(folder + "/black.png")
main(["verify", folder + "/black.png", folder + "/black.png", "--model", folder + "/toy.onnx",
      "--threshold", "0.5"])
"""
    assert "cosine 1.0000: match" in run(code, tmp_path)
