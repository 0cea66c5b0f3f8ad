"""The training loop of the estimators: mini-batches, early stopping, progress, Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor, nn

from sparsereg._caller import warn_caller
from sparsereg._progress import progress
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.nn.schedules import Cosine


class Epoch(NamedTuple):
    """One line of the history of a training.

    ``loss`` is the mean loss over the epoch's batches, ``monitored`` what early stopping looks at
    (the validation loss, or the training loss plus penalty), ``sparsity`` the share of zeros among
    the penalized numbers.
    """

    epoch: int
    loss: float
    monitored: float
    sparsity: float


@dataclass
class Training:
    """How to train: everything but the model.

    Attributes
    ----------
    max_iter, batch_size : int
    tol : float
        An improvement of what is monitored that counts, relative to its size.
    patience : int
        Epochs without one before the training stops.
    keep_best : bool
        Whether the state with the best monitored value comes back.
    verbose : int
    label : str
        Of the progress bar.
    first_judged : int
        Epochs before this one are neither best nor without improvement.
    decay : bool
        Whether the learning rate falls to zero along half a cosine over ``max_iter`` epochs. A
        training without ``keep_best`` then goes to the end: a plateau at a high rate is no minimum.
    """

    max_iter: int
    batch_size: int
    tol: float
    patience: int
    keep_best: bool
    verbose: int
    label: str
    first_judged: int = 0
    decay: bool = False

    def run(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        n_samples: int,
        batch_loss: Callable[[Tensor], Tensor],
        generator: torch.Generator,
        *,
        monitor: Callable[[float], float],
        sparsity: Callable[[], float],
        after_step: Callable[[], None] | None = None,
    ) -> tuple[list[Epoch], bool]:
        """Train until nothing improves; return the history and whether that was reached.

        Parameters
        ----------
        module, optimizer
        n_samples : int
        batch_loss : callable
            From the indices of a batch to its mean loss.
        generator : Generator
            Of the order of the samples.
        monitor : callable
            From the mean loss of an epoch to what is monitored.
        sparsity : callable
            Returns the share of zeros.
        after_step : callable, default=None
            Called after each step of the optimizer.
        """
        history: list[Epoch] = []
        schedule = Cosine(1.0, 0.0, self.max_iter) if self.decay else lambda epoch: 1.0
        rates = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        best, waited, best_state = np.inf, 0, None
        try:
            for k in progress(range(self.max_iter), self.max_iter, self.label, self.verbose):
                order = torch.randperm(n_samples, generator=generator)
                total = 0.0
                for batch in order.split(self.batch_size):
                    optimizer.zero_grad()
                    loss = batch_loss(batch)
                    loss.backward()
                    optimizer.step()
                    if after_step is not None:
                        after_step()
                    total += float(loss.detach()) * len(batch)
                mean = total / n_samples
                if not np.isfinite(mean):
                    raise ValueError(
                        f"The loss is {mean} in epoch {k + 1}. Lower learning_rate, or scale X."
                    )
                history.append(Epoch(k + 1, mean, monitor(mean), sparsity()))
                rates.step()
                if k < self.first_judged:
                    continue
                reached = history[-1].monitored
                if reached < best - self.tol * abs(best if np.isfinite(best) else 0.0):
                    best, waited = reached, 0
                    best_state = deepcopy(module.state_dict()) if self.keep_best else None
                else:
                    waited += 1
                    if waited >= self.patience and (self.keep_best or not self.decay):
                        break
        except KeyboardInterrupt:
            if not history:
                raise
            warn_caller(
                f"{self.label} was interrupted; the result of {len(history)} epochs was kept.",
                PathInterruptedWarning,
            )
            waited = self.patience
        if best_state is not None:
            module.load_state_dict(best_state)
        return history, waited >= self.patience


@contextmanager
def seeded(random_state: Any) -> Iterator[torch.Generator]:
    """Seed torch for the block and leave its global generator as it was.

    Yields a generator for what is drawn while training.
    """
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


def resolve_device(device: str) -> torch.device:
    """Return the device of a name; "auto" takes a CUDA device if there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"device={device!r} cannot be used: {first}. Use 'cpu'.") from error
    return resolved


def to_numpy(tensor: Tensor) -> np.ndarray:
    """Return a copy of a tensor as a NumPy array."""
    return tensor.detach().cpu().numpy().copy()
