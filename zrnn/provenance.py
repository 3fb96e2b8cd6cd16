"""Where a result came from: versions, commit, whether the files were as committed."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

HOME = Path(__file__).parents[1]
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "matplotlib")


def _git(*words):
    command = ["git", "-C", str(HOME), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def _versions_and_commit():
    about = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno")
    if commit is None:
        return about | {"commit": "not in a git repository"}
    return about | {"commit": f"{commit}, {'with changes' if changed else 'as committed'}"}


def provenance() -> dict[str, str]:
    """What ran: {name: text} of versions, commit and whether the files were as committed."""
    return dict(_versions_and_commit())
