"""Training steps by ``torch.compile``: the same training, checkpoints for both, and one line without a compiler.

Each in a process of its own, since the shape checker cannot be traced.
"""

import pytest
from processes import python

TRAINED = """
import sys
import torch
from conftest import TheirData, points_task, their_trainer
from spanloc.models import ConvBackbone, Localizer, PointsHead, PyramidNeck
from torch._dynamo.utils import counters

def task(compile):
    torch.manual_seed(0)
    backbone, neck = ConvBackbone(3, width=8, num_blocks=1), PyramidNeck(1, width=8, num_blocks=1)
    localizer = Localizer(backbone, neck, PointsHead(2, 1, width=8, num_layers=1))
    return points_task(localizer, compile=compile)

def trained(compile, epochs, path=None):
    found, trainer = task(compile), their_trainer(max_epochs=epochs)
    trainer.fit(found, TheirData(count=16), ckpt_path=path, weights_only=True)
    return found, trainer

weights = []
for compile in (False, True):
    found, trainer = trained(compile, 1)
    path = f"{sys.argv[1]}/{compile}.ckpt"
    trainer.save_checkpoint(path)
    # It goes on the other way.
    weights += [found.state_dict(), trained(not compile, 2, path)[0].state_dict()]
    if not compile:
        graphs = counters["stats"]["unique_graphs"]
        # That of the first try, and of all steps. Validation is not compiled.
        assert graphs == 2, graphs
torch.testing.assert_close(weights[2:], weights[:2], rtol=1e-3, atol=1e-4)
"""
WITHOUT = """
from conftest import SMALL
from spanloc.cli import commands
import sys
sys.argv = ["spanloc-train", *SMALL, "task=single", "compile=true", "hydra.run.dir=" + sys.argv[1]]
commands.train()
"""


@pytest.mark.slow  # 40 s
def test_a_compiled_training_gives_the_same_and_goes_on_without(tmp_path):
    python("-c", TRAINED, tmp_path, TORCHINDUCTOR_CACHE_DIR=str(tmp_path))


@pytest.mark.slow  # 8 s
def test_without_a_compiler_there_is_one_line(tmp_path):
    none = {"CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = python("-c", WITHOUT, tmp_path, code=1, **none)
    (line,) = done.stderr.splitlines()
    assert line.startswith("spanloc-train: error: compile is true, and torch.compile does not work")
    assert "compile=false" in line
