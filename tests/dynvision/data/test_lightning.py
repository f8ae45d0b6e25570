"""Lightning takes the loaders as they are, and makes them again for prediction without losing anything."""

from __future__ import annotations

from typing import Any

import lightning
import pytest
import torch
from torch.utils.data import TensorDataset

from dynvision.data.dataloader import get_data_loader
from dynvision.data.loading.label_sequence import LabelSequence
from dynvision.data.loading.sequence import StimulusSequence

IMAGES = torch.randn(14, 3, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(14) % 4
PROGRAM = [{"void": 1}, {"image": 2, "contrast": 0.5}, {"void": 1}]
SETTINGS = {"batch_size": 4, "void_value": 0.25, "dtype": torch.float64}


def to_dense(batch: Any) -> list[torch.Tensor]:
    return [part.dense() if isinstance(part, (StimulusSequence, LabelSequence)) else part for part in batch]


class Tiny(lightning.LightningModule):
    """A linear readout of every frame, which notes the batches that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.readout = torch.nn.Linear(48, 4, dtype=torch.float64)
        self.kinds: set[type] = set()
        self.seen: dict[str, list[list[torch.Tensor]]] = {"fit": [], "validate": []}

    def score(self, batch: Any, where: str) -> torch.Tensor:
        self.kinds |= {type(part) for part in batch}
        stimulus, labels = to_dense(batch)
        self.seen[where].append([stimulus, labels])
        scores = self.readout(stimulus.flatten(0, 1).flatten(1))
        return torch.nn.functional.cross_entropy(scores, labels.flatten(), ignore_index=-1)

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss = self.score(batch, "fit")
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", self.score(batch, "validate"))

    def predict_step(self, batch: Any, index: int) -> list[torch.Tensor]:
        self.kinds |= {type(part) for part in batch}
        return to_dense(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def wanted() -> list[torch.Tensor]:
    blank = torch.full_like(IMAGES, 0.25)
    stimulus = torch.stack([blank, IMAGES * 0.5, IMAGES * 0.5, blank], dim=1).double()
    void = torch.full_like(LABELS, -1)
    return [stimulus, torch.stack([void, LABELS, LABELS, void], dim=1)]


def assert_whole(batches: list[Any]) -> None:
    assert [len(stimulus) for stimulus, _ in batches] == [4, 4, 4, 2]
    for part, expected in zip(zip(*batches, strict=True), wanted(), strict=True):
        assert torch.equal(torch.cat(part).to(expected.dtype), expected)


@pytest.fixture
def trainer(tmp_path) -> lightning.Trainer:
    return lightning.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        max_epochs=2,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("lazy", [False, True])
def test_fit_validate_and_predict_see_what_the_loader_shows(trainer, lazy, workers):
    data = TensorDataset(IMAGES, LABELS)
    settings = {**SETTINGS, "program": PROGRAM, "lazy": lazy, "num_workers": workers}
    loader = get_data_loader(data, "StimulusProgram", **settings)
    assert_whole([to_dense(batch) for batch in loader])
    model = Tiny()
    trainer.fit(model, loader, loader)
    assert len(model.seen["fit"]) == 8
    assert_whole(model.seen["fit"][:4])
    assert_whole(model.seen["validate"][4:])
    trainer.validate(model, loader, verbose=False)
    assert_whole(model.seen["validate"][8:])
    assert_whole(trainer.predict(model, loader))
    assert model.kinds == ({StimulusSequence, LabelSequence} if lazy else {torch.Tensor})


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_prediction_keeps_the_users_own_collation(trainer):
    def halve(items: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = zip(*items, strict=True)
        return torch.stack(images) * 0.5, torch.stack(labels)

    loader = get_data_loader(TensorDataset(IMAGES, LABELS), batch_size=4, collate_fn=halve, n_timesteps=3)
    predicted = trainer.predict(Tiny(), loader)
    assert predicted is not None
    stimulus, labels = (torch.cat(parts) for parts in zip(*predicted, strict=True))
    assert torch.equal(stimulus, (IMAGES * 0.5)[:, None].expand(-1, 3, -1, -1, -1))
    assert torch.equal(labels, LABELS[:, None].expand(-1, 3))


class Logging(Tiny):
    """Logs the mean label of each batch."""

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("label", to_dense(batch)[1][:, 1].double().mean())


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize("lazy", [False, True])
def test_logged_values_are_weighted_by_the_trials_of_their_batch(trainer, lazy):
    loader = get_data_loader(TensorDataset(IMAGES, LABELS), "StimulusProgram", **SETTINGS, program=PROGRAM, lazy=lazy)
    (logged,) = trainer.validate(Logging(), loader, verbose=False)
    assert logged["label"] == pytest.approx(float(LABELS.double().mean()))
