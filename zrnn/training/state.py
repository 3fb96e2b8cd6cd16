"""The state of a training run, from which it goes on as if it had never been stopped."""

import copy
from dataclasses import dataclass, field

import torch

from zrnn import checkpoints

PARTS = "descent", "refinement", "calibration", "done"


@dataclass
class TrainingRun:
    """A network on its way.

    part: which of PARTS comes next; generator: of weights and batches; noise: of the recurrent and
    input noise; losses: one an update; returns: how often the network has run away and gone back;
    log: rows of the log; seconds: spent so far. safe, fresher: copies (weights, optimizer) to go
    back to, the older one and the newer.
    """

    model: torch.nn.Module
    generator: torch.Generator
    noise: torch.Generator
    adam_beta2: float
    part: str = PARTS[0]
    losses: list[float] = field(default_factory=list)
    returns: int = 0
    log: list[dict] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self):
        self.optimizer = torch.optim.Adam(self.model.parameters(), betas=(0.9, self.adam_beta2))
        self.safe = copy.deepcopy((self.model.state_dict(), self.optimizer.state_dict()))
        self.fresher = self.safe

    @classmethod
    def begin(cls, build_model, config, device="cpu") -> "TrainingRun":
        """A fresh network of the configuration, at the start of its training.

        build_model: models.build_model. Noise is drawn from another seed than the weights.
        """
        generator = torch.Generator().manual_seed(config.training.seed)
        noise_seed = int(torch.randint(2**62, (), generator=generator))
        model = build_model(generator=generator, **dict(config.model)).to(device)
        noise = torch.Generator(device).manual_seed(noise_seed)
        return cls(model, generator, noise, config.training.adam_beta2)

    def save(self, path, config: dict, device: str) -> None:
        """Everything from which `restore` makes the same run again."""
        checkpoints.save_checkpoint(
            path,
            self.model,
            config=config,
            device=device,
            part=self.part,
            losses=self.losses,
            returns=self.returns,
            copies=[self.safe, self.fresher],
            log=self.log,
            seconds=self.seconds,
            optimizer=self.optimizer.state_dict(),
            generators=[self.generator.get_state(), self.noise.get_state()],
        )

    def restore(self, saved: dict) -> None:
        """Go on from where `saved`, the content of such a file, stopped."""
        self.model.load_state_dict(saved["state_dict"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.generator.set_state(saved["generators"][0])
        self.noise.set_state(saved["generators"][1])
        self.part, self.losses = saved["part"], saved["losses"]
        self.log = [  # a part after the descent begins anew
            row for row in saved["log"] if row["part"] == "descent" or row["part"] != self.part
        ]
        self.returns, self.seconds = saved["returns"], saved["seconds"]
        self.safe, self.fresher = saved["copies"]
