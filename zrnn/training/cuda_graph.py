"""The step of the descent as one CUDA graph.

On a GPU a step consists of some thousand short kernels, and launching them one by one takes longer
than computing them. A CUDA graph records them once and then launches all of them together. It
repeats the same kernels on the same memory. Therefore the batch is copied into fixed tensors, the
learning rate is a tensor (`zrnn.training.state`), and the schedule of the noise enters through the
factor of each trial.
"""

import sys

import torch

WARM_UP = 3  # steps before the recording, in which libraries and the optimizer allocate memory


def record(step, batch, generator):
    """Record step(*batch), which is not executed: (function that executes it, its outputs)."""
    graph = torch.cuda.CUDAGraph()
    if hasattr(graph, "register_generator_state"):  # newer versions of PyTorch do it themselves
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        outputs = step(*batch)
    return graph.replay, outputs


class RecordedStep:
    """Takes the steps of a training: the first ones as they are, then all by one recording.

    sigma_rec: the SD of the recurrent noise that every step has; the batch holds what it is
    multiplied by. If the steps cannot be recorded, for example by an old driver, they are taken as
    they are, and a note is printed once.
    """

    def __init__(self, sigma_rec: float):
        self.sigma_rec, self.n_steps, self.failed = sigma_rec, 0, False
        self.forget()

    def forget(self) -> None:
        """Record again, because the tensors of the optimizer are others now."""
        self.replay = None

    def __call__(self, step, model, batch, generator):
        """(loss, norm) of step(*batch); batch: tensors, the last one the factor of the noise (B,).

        model.sigma_rec may differ from step to step.
        """
        *rest, factor = batch
        batch = *rest, factor * (model.sigma_rec / self.sigma_rec if self.sigma_rec else 1.0)
        with model.temporarily():
            model.sigma_rec = self.sigma_rec
            return self._take(step, batch, generator)

    def _take(self, step, batch, generator):
        self.n_steps += 1
        if self.failed or self.n_steps <= WARM_UP:
            return step(*batch)
        if self.replay is None or self.batch[0].shape != batch[0].shape:
            self.batch = [part.clone() for part in batch]
            try:
                self.replay, self.outputs = record(step, self.batch, generator)
            except RuntimeError as error:
                self.failed = True
                reason = str(error).splitlines()[0]
                print(f"note: no CUDA graph, so the descent is slower ({reason})", file=sys.stderr)
                return step(*batch)
        for fixed, part in zip(self.batch, batch, strict=True):
            fixed.copy_(part)
        self.replay()
        return self.outputs
