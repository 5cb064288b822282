"""A wrong parameter is one line: which it is, what was given, what is allowed, and the nearest name."""

import pytest

from pose_utils import cli
from pose_utils.errors import UsageError
from pose_utils.report.notebooks import run_notebooks
from pose_utils.study.chapters import start_run

COMMAND_LINE = {
    "report --profile quik": ("--profile", "'quik'", "'smoke', 'quick', 'full'", "did you mean quick?"),
    "report --device cud": ("--device", "'cud'", "'cpu', 'cuda'", "did you mean cuda?"),
    "report --seed -1": ("--seed", "'-1'", "from 0 on"),
    "report --seed 1.5": ("--seed", "'1.5'", "whole number"),
    "report --notebooks ,": ("--notebooks", "names separated by commas"),
    "report --notebooks 4_benchmark": ("notebook '4_benchmark'", "'04_benchmark'", "Allowed: 00_setup"),
    "infer": ("--source", "required"),
    "infer --source x --detect-evry 5": ("--detect-evry", "did you mean --detect-every?"),
    "infer --source x --thread 2": ("--thread ", "did you mean --threads?"),
    "infer --source x --threads 0": ("--threads", "'0'", "above 0"),
    "infer --source x --threads two": ("--threads", "'two'", "above 0"),
    "infer --source x --detect-every 0": ("--detect-every", "'0'", "above 0"),
    "infer --source x --min-score 1.5": ("--min-score", "'1.5'", "from 0 to 1"),
    "infer --source x --min-score nan": ("--min-score", "'nan'", "from 0 to 1"),
    "infer --source x --backend onnxruntim": ("--backend", "'onnxruntim'", "did you mean onnxruntime?"),
    "infer --source x --precision fp-16": ("--precision", "'fp-16'", "'bf16'", "did you mean fp16?"),
    "robustness --images . --conditions noise_hevy": ("'noise_hevy'", "did you mean noise_heavy?"),
    "robustness --images . --conditions defocus:9": ("--conditions", "'defocus:9'", "from 1 to 5"),
    "bench --persons 1,many": ("--persons", "'many'", "above 0"),
    "asets list": ("'asets'", "'assets'", "did you mean assets?"),
    "assets fetch rtmpose_m.pth": ("'rtmpose_m.pth'", "did you mean 'rtmpose-m.pth'?", "Known: "),
}  # fmt: skip


@pytest.mark.parametrize("line", COMMAND_LINE)
def test_on_the_command_line(line, capsys):
    try:
        code = cli.main(line.split())
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().err
    assert code == 64 and said.count("\n") == 1
    for part in COMMAND_LINE[line]:
        assert part in said


def test_abbreviations_are_no_options(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["infer", "--source", "x", "--max", "3"])
    assert ended.value.code == 64 and "--max" in capsys.readouterr().err


GOOD = {"profile": "smoke", "models": "auto", "device": "cpu", "seed": 0}


@pytest.mark.parametrize(
    "wrong, parts",
    [
        ({"profile": "smok"}, ("profile", "'smok'", "'smoke'", "quick")),
        ({"device": "cude"}, ("device", "'cude'", "'cuda'", "cpu")),
        ({"seed": -1}, ("seed", "-1", "from 0 on")),
        ({"seed": "1"}, ("seed", "'1'", "whole numbers")),
        ({"models": "rtmdet-nano+rtmpose-mm"}, ("'rtmpose-mm'", "'rtmpose-m'")),
        ({"models": "rtmpose-m"}, ("'rtmpose-m'", "DETECTOR+POSE")),
    ],
)
def test_in_a_notebook(tmp_path, wrong, parts):
    with pytest.raises(UsageError) as refusal:
        start_run(**GOOD | wrong, run_dir=str(tmp_path / "run"))
    assert "\n" not in str(refusal.value) and not (tmp_path / "run").exists()
    for part in parts:
        assert part in str(refusal.value)


@pytest.mark.parametrize("wrong, parts", [
    ({"profile": "smok"}, ("profile 'smok'", "'smoke'")), ({"device": "cude"}, ("device 'cude'", "'cuda'")),
    ({"names": ["03_tensorrt"]}, ("notebook '03_tensorrt'", "'03_tensorrt_build'")),
    ({"parameters": {"sed": 1}}, ("parameter 'sed'", "'seed'")),
    ({"parameters": {"images": ["a"]}}, ("parameter images must be str", "['a']")),
])  # fmt: skip
def test_in_the_notebook_runner(tmp_path, wrong, parts):
    with pytest.raises(UsageError) as refusal:
        run_notebooks(**GOOD | wrong, run_dir=tmp_path / "run")
    assert "\n" not in str(refusal.value)
    for part in parts:
        assert part in str(refusal.value)
