"""The notebook that plays both sides runs, and its analyst finds what the devices hide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_private_regression.ipynb"


@pytest.mark.skipif(not NOTEBOOK.exists(), reason="the source tree is not here")
def test_devices_servers_and_analyst(capsys):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    namespace = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), namespace)
    printed = capsys.readouterr().out
    assert printed.count("heavy modules on the device: []") == 4
    assert "east 6000 {'malformed': 0, 'foreign': 0, 'duplicated': 3000" in printed
    assert "west 5999 {'malformed': 1" in printed
    model = namespace["model"]
    assert model.n_reports_ == 11_999
    assert set(model.support_) >= {1, 3}
    assert not model.privacy_.simulated
