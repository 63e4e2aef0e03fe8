"""The beginning of a run: new, from a pretrained model, or where an earlier one ended."""

from foreign import load_any
from model import copy_weights
from optimizer import data_based_initialization
from options import UserError
from training.loop import new_progress
from training.workspace import Workspace, load_optimizer_of, load_state


def start_run(args, parser, network, inference_model, sequence):
    """Makes the run's folder and gives the network its first weights; returns `Workspace` and progress."""
    if args.print_model_summary:
        network.summary()
    network.optimizer.iterations.assign(args.initial_epoch * args.iterations_per_epoch)
    if args.pretrained_model:
        _copy_pretrained(args, network)
    if args.num_init_batches:
        _initialize(args, network, inference_model, sequence)
    workspace = Workspace.create(args.outdir, parser, args)
    print(f"{workspace.folder}: {network.name} x{args.scale}, {network.count_params():,} parameters")
    return workspace, new_progress(args.initial_epoch)


def resume_run(args, network):
    """Opens the run's folder and restores its state; returns `Workspace` and progress."""
    workspace = Workspace(args.resume)
    progress = load_state(workspace.state_path, network)
    if progress["epoch"] >= args.epochs:
        raise UserError(f"{args.resume}: has done its {progress['epoch']} epochs: give more with --epochs")
    print(f"{workspace.folder}: goes on after epoch {progress['epoch']}, step {progress['step']}")
    return workspace, progress


def _copy_pretrained(args, network):
    """Copies the weights of `--pretrained-model`, and the optimizer's state if the run goes on from its epoch."""
    path = args.pretrained_model
    copied, skipped = copy_weights(load_any(path), network)
    print(f"{path}: copied the weights of {len(copied)} layers"
          + (f"; not copied: {', '.join(skipped)}" if skipped else ""))
    if args.initial_epoch:
        cause = load_optimizer_of(path, network)
        print(f"starts with a fresh optimizer: {cause}" if cause else "goes on with the optimizer's state of its run")


def _initialize(args, network, inference_model, sequence):
    """Initializes the weights from the first training batches."""
    inference_model.set_weights(network.get_weights())
    names = data_based_initialization(inference_model, [sequence[i][0] for i in range(args.num_init_batches)])
    network.set_weights(inference_model.get_weights())
    print(f"initialized {len(names)} layers from {args.num_init_batches} batches")
