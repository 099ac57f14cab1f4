"""Exports a model to the ONNX file that is its argument and compares; prints the names of its inputs."""

import sys

import onnxruntime
import torch
from conftest import make_batch, points_model
from torch.export import Dim

ANY_SIZE = {"features": {0: Dim.DYNAMIC, 2: Dim.DYNAMIC}, "mask": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}}


def main(file):
    model, batch = points_model().eval(), make_batch((60, 41), num_targets=(0, 0))
    program = torch.onnx.export(
        model,
        (batch.features, batch.mask),
        input_names=["features", "mask"],
        output_names=["spans", "logits", "points", "mask_out"],
        dynamo=True,
        dynamic_shapes=ANY_SIZE,
        verbose=False,
    )
    program.save(file)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for seen in (batch, make_batch((77, 50, 20), num_targets=(0, 0, 0), seed=1)):
        inputs = {"features": seen.features.numpy(), "mask": seen.mask.numpy()}
        found = [torch.from_numpy(array) for array in session.run(None, inputs)]
        expected = model(seen.features, seen.mask)
        wanted = (expected.spans, expected.logits, expected.points, expected.mask)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    print(*(node.name for node in [*session.get_inputs(), *session.get_outputs()]))


if __name__ == "__main__":
    main(sys.argv[1])
