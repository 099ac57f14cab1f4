"""Span losses under what torch does to them: vmap, second derivatives, compilation."""

import pytest
import torch
from conftest import random_spans
from processes import python
from span_losses import SPAN_LOSSES, every_loss, gradient, spans
from torch.func import grad, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from spanloc.losses.properties import properties

STATED = {name: properties(loss) for name, loss in SPAN_LOSSES.items()}


@every_loss
def test_vmap_and_grad(loss):
    pred, target = random_spans(7), random_spans(7, seed=1)
    torch.testing.assert_close(vmap(loss)(pred, target), loss(pred, target))
    torch.testing.assert_close(vmap(grad(loss))(pred, target), gradient(loss, pred, target))
    torch.testing.assert_close(
        vmap(grad(loss))(target, target), torch.zeros_like(target), rtol=0, atol=0
    )


@pytest.mark.parametrize("name", [name for name, p in STATED.items() if p.exact])
def test_double_backward(name):
    # Its second derivative is that of its first, at spans that overlap and at spans that do not.
    pred, target = spans([11.4, 17.7], [3, 13], [16, 31], [1, 7]), spans([10, 20]).expand(4, 2)
    loss = SPAN_LOSSES[name]
    assert torch.autograd.gradgradcheck(
        lambda pred: loss(pred, target), pred.requires_grad_(), atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("name", [name for name, p in STATED.items() if p.slope == 0])
def test_the_second_derivative_at_the_match(name):
    loss, target = SPAN_LOSSES[name], spans([10, 20])
    beside = target + spans([1e-6, 0], [-1e-6, 0])
    above, below = gradient(loss, beside, target.expand(2, 2))
    if name in ("squared_giou", "huber_giou"):  # it jumps along one end, and is 0 in the middle
        above = below
    pred = target.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(loss(pred, target).sum(), pred, create_graph=True)
    (found,) = torch.autograd.grad(slopes[0, 0], pred)
    torch.testing.assert_close(found[0], (above - below) / 2e-6, rtol=1e-4, atol=1e-6)


@pytest.mark.slow  # half a minute, and minutes
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_every_loss_becomes_one_graph_and_every_graph_becomes_code(backend):
    done = python("compile_losses.py", backend)
    assert done.stdout.split() == [f"{backend}:{name}" for name in SPAN_LOSSES]


class Largest(TorchDispatchMode):
    """Number of elements of the largest tensor that is made."""

    size = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, torch.Tensor):
                self.size = max(self.size, tensor.numel())
        return made


@every_loss
def test_memory_is_linear_in_the_number_of_pairs(loss):
    pred, target = random_spans(1000), random_spans(1000, seed=1)
    with Largest() as largest:
        gradient(loss, pred, target)
    assert 1000 <= largest.size <= 2000
