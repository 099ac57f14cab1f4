"""Trains one model on several workers of a Ray cluster, with Ray Train and Lightning.

python scripts/ray_train.py FOLDER                            two processes of this machine
python scripts/ray_train.py FOLDER --address auto --workers 4 --gpu --storage SHARED_FOLDER

FOLDER holds annotated recordings, and is seen by all workers, as is the folder of --storage. Every step takes
--batch-size crops from each worker. Needs spanloc[ray].
"""

import argparse
from functools import partial
from pathlib import Path

import ray
from ray.train import CheckpointConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer


def train(settings):
    """Fits the model; runs in every worker."""
    # First: spanloc takes the Lightning package that Ray has taken.
    from ray.train.lightning import (
        RayDDPStrategy,
        RayLightningEnvironment,
        RayTrainReportCallback,
        prepare_trainer,
    )

    from spanloc import Criterion, Decode, SpanLocalizer, losses, metrics, ops
    from spanloc.data import AnnotatedData
    from spanloc.lightning import Trainer, package
    from spanloc.matching import match_points
    from spanloc.models import ConvBackbone, Localizer, PointsHead, PyramidNeck

    package.seed_everything(settings["seed"])  # the same weights to begin with
    task = SpanLocalizer(
        partial(
            Localizer, backbone=partial(ConvBackbone, width=32), neck=PyramidNeck, head=PointsHead
        ),
        Criterion(match_points, losses.giou_loss),
        Decode(suppress=ops.soft_nms),
        metrics={"detection": metrics.AveragePrecision([0.5])},
    )
    trainer = prepare_trainer(
        Trainer(
            max_epochs=settings["epochs"],
            accelerator="auto",
            devices="auto",
            strategy=RayDDPStrategy(),
            plugins=[RayLightningEnvironment()],
            callbacks=[RayTrainReportCallback()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
    )
    trainer.fit(task, AnnotatedData(settings["root"], batch_size=settings["batch_size"]))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", metavar="FOLDER", help="annotated recordings")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpu", action="store_true", help="one GPU for each worker")
    parser.add_argument("--address", help="auto: the cluster of this machine; default: a new one")
    parser.add_argument("--storage", default="runs/ray", help="where checkpoints are kept")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    ray.init(address=options.address, include_dashboard=False)
    result = TorchTrainer(
        train,
        train_loop_config={
            **{name: getattr(options, name) for name in ("epochs", "batch_size", "seed")},
            "root": str(Path(options.root).absolute()),
        },
        scaling_config=ScalingConfig(num_workers=options.workers, use_gpu=options.gpu),
        run_config=RunConfig(
            storage_path=str(Path(options.storage).absolute()),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    ).fit()
    for name, value in sorted(result.metrics.items()):
        print(f"{name}: {value:.4g}")
    print(f"checkpoint: {result.checkpoint.path}/checkpoint.ckpt")


if __name__ == "__main__":
    main()
