"""The beginning of a run: new, from a pretrained model, or where an earlier one ended; and its end."""

import weights
from errors import UserError
from optimizer import data_based_initialization
from training.loop import new_progress
from training.monitoring import Interrupted, Interrupts
from training.workspace import Workspace, load_optimizer_of


def start_pixelwise(args, args_lines, training):
    """Makes the folder of a `PixelTraining` and gives its network the first weights."""
    network = training.network
    if args.print_model_summary:
        network.summary()
    network.optimizer.iterations.assign(args.initial_epoch * args.iterations_per_epoch)
    if args.pretrained_model:
        _copy_pretrained(args.pretrained_model, network)
        if args.initial_epoch:
            cause = load_optimizer_of(args.pretrained_model, network)
            print(f"starts with a fresh optimizer: {cause}" if cause
                  else "goes on with the optimizer's state of its run")
    if args.num_init_batches:
        _initialize(args, network, training.inference_model, training.sequence)
    _create_workspace(args, args_lines, training, network, args.initial_epoch)


def start_gan(args, args_lines, training):
    """Makes the folder of a `GANTraining` and gives its generator the first weights."""
    generator = training.generator_step.generator
    if args.print_model_summary:
        generator.summary()
        training.discriminator_step.discriminator.summary()
    if args.pretrained_model:
        _copy_pretrained(args.pretrained_model, generator)
    _create_workspace(args, args_lines, training, generator)


def _create_workspace(args, args_lines, training, network, initial_epoch=0):
    """Makes the run's folder and says what is trained."""
    workspace = Workspace.create(args.outdir, args_lines)
    print(f"{workspace.folder}: {network.name} x{args.scale}, {network.count_params():,} parameters")
    training.begin(workspace, new_progress(initial_epoch))


def resume_run(args, training):
    """Opens the run's folder and restores the state of its training."""
    training.resume(Workspace(args.resume))
    progress = training.progress
    if progress["epoch"] >= args.epochs:
        raise UserError(f"{args.resume}: has done its {progress['epoch']} epochs: give more with --epochs")
    print(f"{training.workspace.folder}: goes on after epoch {progress['epoch']}, step {progress['step']}")


def run_to_the_end(training, log, script):
    """Trains to the last epoch or to a signal, and returns the exit code; `script` goes on with such a run."""
    training.log = log
    with Interrupts() as interrupts:
        try:
            training.run(interrupts)
        except Interrupted as interrupted:
            progress = training.progress
            print(f"{interrupted}: stopped after step {progress['step']} of epoch {progress['epoch'] + 1}; go on with\n"
                  f"    python {script} --resume {training.workspace.folder}")
            return interrupted.exit_code
        finally:
            training.sequence.close()
    print(training.summary())
    return 0


def _copy_pretrained(path, network):
    """Copies the weights of the model `path` to `network`, layer by layer, and says what could not be copied."""
    copied, skipped = weights.copy(weights.load(path), network)
    print(f"{path}: copied the weights of {len(copied)} layers"
          + (f"; not copied: {', '.join(skipped)}" if skipped else ""))


def _initialize(args, network, inference_model, sequence):
    """Initializes the weights from the first training batches."""
    inference_model.set_weights(network.get_weights())
    names = data_based_initialization(inference_model, [sequence[i][0] for i in range(args.num_init_batches)])
    network.set_weights(inference_model.get_weights())
    print(f"initialized {len(names)} layers from {args.num_init_batches} batches")
