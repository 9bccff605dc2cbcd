"""The guide to a new channel, followed to the letter: its files make a channel that passes the contract."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GUIDE = ROOT / "adapters" / "README.md"
BLOCK = re.compile(r"^```(python|diff)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What the contract needs of the project, besides the packages.
TESTS = (
    "contract", "contract_acknowledgements", "contract_pushes", "contract_verbs", "scene", "token_stores",
    "hostile", "mutations", "test_hostile",
)  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what an author of a channel works on, with all that the guide says done to it."""
    without = shutil.ignore_patterns("__pycache__")
    for package in ("adapters", "channel_sync"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=without)
    (tmp_path / "tests" / "adapters").mkdir(parents=True)
    for name in TESTS:
        shutil.copy(ROOT / "tests" / "adapters" / f"{name}.py", tmp_path / "tests" / "adapters")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for kind, name, text in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        path = tmp_path / name
        if kind == "diff":
            path.write_text(patched(path.read_text(encoding="utf-8"), text), encoding="utf-8")
        else:
            assert not path.exists()
            path.parent.mkdir(exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(text, encoding="utf-8")
    (tmp_path / "tests" / "adapters" / "__init__.py").unlink()
    return tmp_path


def test_the_guides_channel_passes_the_contract(tree: Path) -> None:
    """The guide's files as they stand there keep every promise, and what they read withstands hostile bodies."""
    passed = contract(tree, "tests/adapters/test_inn.py", "tests/adapters/test_hostile.py")

    assert passed.returncode == 0, passed.stdout[-4000:]
    counted = re.search(r"(\d+) passed", passed.stdout)
    assert counted
    assert int(counted[1]) > 150
    assert "failed" not in passed.stdout


@pytest.mark.parametrize(
    ("file", "right", "wrong", "noticed_by"),
    [
        (
            "adapters/inn/mapping.py",
            "update.nights.check_out - ONE_DAY",
            "update.nights.check_out",
            "test_nights_are_closed_and_opened",
        ),
        (
            "adapters/inn/adapter.py",
            "wire.repeatable(marked(request, Spend(endpoint)))",
            "marked(request, Spend(endpoint))",
            "test_an_outage_acknowledges_nothing",
        ),
        (
            "adapters/inn/mapping.py",
            'each.get("ok") is True',
            "each is not None",
            "test_what_never_waited_is_rejected",
        ),
    ],
    ids=["one-night-too-many", "not-repeatable", "success-unproven"],
)
def test_a_broken_verb_fails_the_contract(
    tree: Path, file: str, right: str, wrong: str, noticed_by: str
) -> None:
    """A mistake that is easily made is found by the test that is there for it."""
    text = (tree / file).read_text(encoding="utf-8")
    assert text.count(right) == 1
    (tree / file).write_text(text.replace(right, wrong), encoding="utf-8")
    failed = contract(tree, "tests/adapters/test_inn.py", "-k", noticed_by)

    assert failed.returncode == 1, failed.stdout[-4000:]
    assert re.search(rf"^FAILED .*{noticed_by}", failed.stdout, re.MULTILINE)


def contract(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tests of the copy, by the copy."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=short", *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip


def patched(text: str, diff: str) -> str:
    """The text with the diff's new lines, each hunk ("..." stands between them) where its old lines are, once."""
    lines = text.splitlines()
    for hunk in re.split(r"^\.\.\.\n", diff, flags=re.MULTILINE):
        told = hunk.splitlines()
        old = [line[1:] for line in told if line.startswith(" ")]
        new = [line[1:] for line in told]
        places = [at for at in range(len(lines)) if lines[at : at + len(old)] == old]
        assert len(places) == 1, f"{old} is there {len(places)} times"
        lines[places[0] : places[0] + len(old)] = new
    return "\n".join(lines) + "\n"
