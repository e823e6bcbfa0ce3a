import json
import sys
from importlib import metadata

import pytest

from evenface import doctor
from evenface.assets import ASSETS
from evenface.cli.main import main
from evenface.doctor import Diagnosis, Finding, diagnose


def by_name(findings):
    return {finding.name: finding for finding in findings}


@pytest.fixture
def versions(monkeypatch):
    """What importlib.metadata reports, to be changed by the test: name → version or None."""
    changed = {}
    real = metadata.version

    def version(name):
        found = changed[name] if name in changed else real(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(doctor.metadata, "version", version)
    return changed


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["doctor", *arguments])
    return exit_.value.code, capsys.readouterr().out


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that imports find before an installed one of its name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))

    def write(name, code):
        (tmp_path / "modules").mkdir(exist_ok=True)
        (tmp_path / "modules" / f"{name}.py").write_text(code)

    return write


def test_this_environment_is_healthy_and_covered(tmp_path):
    diagnosis = diagnose(tmp_path)
    assert diagnosis.healthy
    topics = {finding.topic for finding in diagnosis.findings}
    assert topics == {"system", "base", "extra", "opencv", "device", "asset", "cache", "browser"}
    for finding in diagnosis.findings:
        assert finding.detail
        assert bool(finding.remedy) == (finding.status != "ok")


def test_base_covers_every_declared_requirement():
    found = by_name(doctor.check_base({}))
    for name in ("numpy", "pillow", "onnxruntime", "pyarrow", "opencv-python-headless"):
        assert found[name].status == "ok"
        assert found[name].detail == metadata.version(name)
    assert "torch" not in found


def test_outdated_base_package_is_broken(versions):
    versions["numpy"] = "1.0"
    finding = by_name(doctor.check_base({}))["numpy"]
    assert finding.status == "broken"
    assert finding.detail == "1.0, but >=1.26 is needed"
    assert finding.remedy.startswith('pip install "numpy>=1.26')


def test_modules_are_imported_each_for_itself(module):
    module("fine", "print('hello')")
    module("missing_library", "raise ImportError('libGL.so.1: cannot open shared object file')")
    module("fatal", "import os; os.abort()")
    module("leaving", "raise SystemExit(3)")
    module("second", "")
    assert doctor.import_errors(["fine", "missing_library", "fatal", "leaving", "second"]) == {
        "missing_library": "ImportError: libGL.so.1: cannot open shared object file",
        "fatal": "its process was killed by SIGABRT",
        "leaving": "SystemExit: 3",
    }


def test_modules_of_the_current_folder_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / "stray.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert set(doctor.import_errors(["stray"])) == {"stray"}


def test_what_is_installed_is_imported(versions, monkeypatch):
    asked = []
    monkeypatch.setattr(doctor, "import_errors", lambda modules: asked.extend(modules) or {})
    versions["matplotlib"] = None
    diagnose()
    assert {"numpy", "cv2", "PIL", "yaml", "torch", "sklearn", "material", "xdist"} <= set(asked)
    assert not {"matplotlib", "", "evenface"} & set(asked)
    assert len(asked) == len(set(asked))


def test_base_package_that_cannot_be_imported_is_broken():
    errors = {"cv2": "ImportError: libGL.so.1: cannot open shared object file"}
    finding = by_name(doctor.check_base(errors))["opencv-python-headless"]
    assert finding.status == "broken"
    assert "libGL.so.1" in finding.detail
    assert not Diagnosis((finding,)).healthy


def test_extra_that_cannot_be_imported_is_a_warning():
    found = by_name(doctor.check_extras({"sklearn": "its process was killed by SIGILL"}))
    assert found["label"].status == "warning"
    expected = "cannot be imported: scikit-learn: its process was killed by SIGILL"
    assert expected in found["label"].detail
    assert found["label"].remedy == "pip install --force-reinstall scikit-learn"
    assert found["train"].status == "ok"
    assert Diagnosis(tuple(found.values())).healthy


def test_a_python_that_is_not_tested_is_a_warning(monkeypatch):
    tested = doctor.tested_pythons()
    assert tested[0] == (3, 11)
    assert tested == sorted(tested)
    assert by_name(doctor.check_system())["python"].status == "ok"
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    finding = by_name(doctor.check_system())["python"]
    assert finding.status == "warning"
    assert "evenface is tested with 3.11 to 3." in finding.detail
    assert finding.remedy.startswith("create the environment with Python 3.11 to 3.")


def test_cv2_of_another_distribution_is_a_warning(versions):
    versions["opencv-python-headless"] = None
    finding = by_name(doctor.check_base({}))["opencv-python-headless"]
    assert finding.status == "warning"
    assert "cv2 comes from another package" in finding.detail


def test_incomplete_extra_names_what_lacks_and_what_it_is_for(versions):
    versions["jinja2"] = None
    versions["torch"] = "2.0"
    found = by_name(doctor.check_extras({}))
    assert found["report"].status == "missing"
    assert "the HTML report; not installed: jinja2" in found["report"].detail
    assert found["report"].remedy == 'pip install "evenface[report]"'
    assert "torch>=2.6" in found["train"].detail
    assert found["demo"].status == "ok"


def test_fighting_cv2_distributions_are_named(versions):
    assert by_name(doctor.check_cv2())["distributions"].status == "ok"
    versions["opencv-contrib-python"] = "4.9.0"
    finding = by_name(doctor.check_cv2())["distributions"]
    assert finding.status == "warning"
    assert "opencv-python-headless" in finding.detail
    assert "opencv-contrib-python 4.9.0" in finding.detail
    assert finding.remedy.startswith("pip uninstall -y opencv-python-headless opencv-contrib")


def test_devices_name_providers_and_torch(monkeypatch):
    found = by_name(doctor.check_devices({}))
    assert "usable cores" in found["cpu"].detail
    assert "CPUExecutionProvider" in found["onnxruntime"].detail
    assert found["torch"].detail.startswith("torch ")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "torch" not in by_name(doctor.check_devices({}))


def test_what_cannot_be_imported_is_no_device():
    assert set(by_name(doctor.check_devices({"torch": "x", "onnxruntime": "y"}))) == {"cpu"}


def test_missing_and_damaged_assets_name_the_command(tmp_path):
    damaged = tmp_path / "assets" / "orl" / ASSETS["orl"].file_name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"half")
    found = by_name(doctor.check_assets(tmp_path))
    assert found["sface"].status == "missing"
    assert found["sface"].remedy == f"evenface assets get sface --cache-dir {tmp_path}"
    assert found["orl"].status == "warning"
    assert "damaged" in found["orl"].detail


def test_cache_folder_need_not_exist(tmp_path):
    root = tmp_path / "not" / "yet"
    (finding,) = doctor.check_cache(root)
    assert finding.detail.startswith("writable, ")
    assert not root.exists()


def test_cache_folder_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch):
    def refuse(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    (finding,) = doctor.check_cache(tmp_path)
    assert finding.status == "warning"
    assert finding.detail == "not writable: Permission denied"
    assert "EVENFACE_CACHE_DIR" in finding.remedy


def test_little_space_is_a_warning(tmp_path, monkeypatch):
    usage = doctor.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=5_000_000))
    (finding,) = doctor.check_cache(tmp_path)
    assert finding.status == "warning"
    assert "0.0 GB free" in finding.detail


def test_missing_browser_is_only_missing(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    (finding,) = doctor.check_browser()
    assert finding.status == "missing"
    assert Diagnosis((finding,)).healthy


def test_command_prints_findings_with_remedies(tmp_path, capsys):
    code, out = run(capsys, "--cache-dir", str(tmp_path))
    assert code == 0
    assert "missing sface:" in out
    assert f"→ evenface assets get sface --cache-dir {tmp_path}" in out


def test_json_has_the_same_findings(tmp_path, capsys):
    code, out = run(capsys, "--json", "--cache-dir", str(tmp_path))
    assert code == 0
    assert {item["name"] for item in json.loads(out)["findings"]} == {
        finding.name for finding in diagnose(tmp_path).findings
    }


def test_broken_base_exits_with_1(monkeypatch, capsys):
    broken = Finding("base", "numpy", "broken", "cannot be imported", "pip install numpy")
    monkeypatch.setattr(doctor, "diagnose", lambda cache_dir: Diagnosis((broken,)))
    code, out = run(capsys)
    assert code == 1
    assert "broken" in out
    code, out = run(capsys, "--json")
    assert code == 1
    assert json.loads(out)["healthy"] is False


def test_every_extra_is_told():
    declared = set(metadata.metadata("evenface").get_all("Provides-Extra"))
    assert {finding.name for finding in doctor.check_extras({})} == declared
