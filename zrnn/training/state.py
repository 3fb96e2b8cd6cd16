"""The state of a training run, from which it continues as if it had never been stopped."""

import copy
import math
from dataclasses import dataclass, field

import torch

from zrnn import checkpoints
from zrnn.errors import UserError
from zrnn.training.cuda_graph import RecordedStep

PARTS = "descent", "refinement", "calibration", "done"
DIVERGED = 1.0  # a loss above it has diverged; the best constant output has a loss of 0.13
SNAPSHOT_UPDATES = 20  # updates between two snapshots of the weights
FIRST_ROLLBACK = 40  # updates; before, only an infinite loss is rolled back: others recover
MAX_ROLLBACKS = 20  # in one training


class Diverged(UserError):
    """The loss diverges again and again after rollbacks."""


@dataclass
class TrainingRun:
    """A network in training.

    generator: of weights and batches; noise: of the recurrent and input noise; part: the current
    one of PARTS; losses: one for each update; rollbacks: their number so far; log: rows of the log;
    seconds: spent so far; start_sha256: of training.start, or None. snapshots: two copies of
    (weights, optimizer), the older one first.
    """

    model: torch.nn.Module
    generator: torch.Generator
    noise: torch.Generator
    adam_beta2: float
    part: str = PARTS[0]
    losses: list[float] = field(default_factory=list)
    rollbacks: int = 0
    log: list[dict] = field(default_factory=list)
    seconds: float = 0.0
    start_sha256: str | None = None

    def __post_init__(self):
        device = self.model.w_hh.device
        on_cuda = device.type == "cuda"  # a CUDA graph reads the learning rate from a tensor
        self.learning_rate = torch.tensor(1e-3, device=device) if on_cuda else 1e-3
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), self.learning_rate, (0.9, self.adam_beta2), capturable=on_cuda
        )
        self.graph = RecordedStep(self.model.sigma_rec) if on_cuda else None
        self.snapshots = [self._snapshot()] * 2

    def _snapshot(self):
        return copy.deepcopy((self.model.state_dict(), self.optimizer.state_dict()))

    def set_learning_rate(self, rate: float) -> None:
        if torch.is_tensor(self.learning_rate):
            self.learning_rate.fill_(rate)
        else:
            self.learning_rate = rate
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate

    def _load(self, weights, optimizer) -> None:
        """Go on from these weights and this state of the optimizer."""
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(copy.deepcopy(optimizer))
        if self.graph is not None:
            self.graph.forget()

    def record_loss(self, loss: float) -> None:
        """Add the loss of an update; roll back to the older snapshot if it has diverged.

        The older one, because the newer may have been made when the loss began to diverge. Raises
        Diverged after MAX_ROLLBACKS.
        """
        self.losses.append(min(loss, 1e30))
        number = len(self.losses)
        if loss <= DIVERGED and number % SNAPSHOT_UPDATES == 0:
            self.snapshots = [self.snapshots[1], self._snapshot()]
        elif loss > DIVERGED and (number > FIRST_ROLLBACK or math.isinf(loss)):
            self.rollbacks += 1
            if self.rollbacks > MAX_ROLLBACKS:
                raise Diverged(
                    f"the loss diverges again and again, the last time at update {number}; "
                    "reduce training.learning_rate or training.peak_noise_scale"
                )
            self._load(*self.snapshots[0])
            self.snapshots = [self.snapshots[0]] * 2

    def save(self, path, config: dict, device: str) -> None:
        """Save everything that `restore` needs."""
        checkpoints.save_checkpoint(
            path,
            self.model,
            config=config,
            device=device,
            part=self.part,
            losses=self.losses,
            rollbacks=self.rollbacks,
            snapshots=self.snapshots,
            log=self.log,
            seconds=self.seconds,
            start_sha256=self.start_sha256,
            optimizer=self.optimizer.state_dict(),
            generators=[self.generator.get_state(), self.noise.get_state()],
        )

    def restore(self, saved: dict) -> None:
        """Continue from the content of a file of `save`. Raises UserError if it is damaged."""
        target = self.model.state_dict()
        try:
            older, newer = saved["snapshots"]
            for weights, optimizer in ((saved["state_dict"], saved["optimizer"]), older, newer):
                checkpoints.check_weights(weights, target)
                self.optimizer.load_state_dict(optimizer)
            self._load(saved["state_dict"], saved["optimizer"])
            self.generator.set_state(saved["generators"][0])
            self.noise.set_state(saved["generators"][1])
            self.part, self.losses = saved["part"], saved["losses"]
            self.log = [  # a part after the descent starts from its beginning
                row for row in saved["log"] if row["part"] == "descent" or row["part"] != self.part
            ]
            self.rollbacks, self.seconds = int(saved["rollbacks"]), float(saved["seconds"])
            self.snapshots = [tuple(older), tuple(newer)]
            self.start_sha256 = saved["start_sha256"]
            if self.part not in PARTS or not all(math.isfinite(loss) for loss in self.losses):
                raise ValueError
        except UserError:
            raise
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError):
            raise UserError(
                "the state of the stopped run is damaged; start again with --overwrite"
            ) from None
