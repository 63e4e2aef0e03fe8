"""Options of a training on several devices, and where a process learns which of several it is."""

import os

from command_line.parsing import number, words_for
from errors import UserError

# Options of the machines and not of the run: another number of devices goes on with it.
DISTRIBUTION_OPTIONS = ("distribute", "coordinator", "num_processes", "process_id")

# Variables that are looked at where an option is not typed: those of Keras, of JAX, and of PyTorch's launchers.
VARIABLES = {
    "coordinator": ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "JAX_COORDINATOR_ADDRESS"),
    "num_processes": ("KERAS_DISTRIBUTION_NUM_PROCESSES", "JAX_NUM_PROCESSES", "WORLD_SIZE"),
    "process_id": ("KERAS_DISTRIBUTION_PROCESS_ID", "JAX_PROCESS_ID", "RANK"),
}
SLURM_VARIABLES = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")


def add_distribution_options(parser):
    """Adds `--distribute` and which of several processes this one is."""
    parser.add_argument("--distribute", action="store_true",
                        help="train on all devices: with TensorFlow on those of this machine, with JAX on those of all "
                             "processes; --batch-size is that of all together")
    parser.add_argument("--coordinator", metavar="HOST:PORT",
                        help="JAX: where the first of several processes is reached; by default "
                             "KERAS_DISTRIBUTION_JOB_ADDRESSES, JAX_COORDINATOR_ADDRESS, MASTER_ADDR and MASTER_PORT, "
                             "or what SLURM says")
    parser.add_argument("--num-processes", type=number(int, 1), metavar="N",
                        help="JAX: how many processes there are, likewise")
    parser.add_argument("--process-id", type=number(int, 0), metavar="N",
                        help="JAX: which one this is, counted from 0, likewise")


def process_group(args, environ=os.environ):
    """Returns the coordinator's address, the number of processes and that of this one; None for a single process.

    What is None among them is for JAX to take from SLURM's variables.

    Raises:
        UserError: a part of it is missing, or is no number.
    """
    if not args.distribute:
        return None
    coordinator = args.coordinator or _first(environ, VARIABLES["coordinator"])
    if coordinator is None and "MASTER_ADDR" in environ and "MASTER_PORT" in environ:
        coordinator = f"{environ['MASTER_ADDR']}:{environ['MASTER_PORT']}"
    numbers = [_number(environ, name) if getattr(args, name) is None else getattr(args, name)
               for name in ("num_processes", "process_id")]
    group = (coordinator and coordinator.split(",")[0], *numbers)
    if numbers[0] == 1 or (group == (None, None, None) and not _in_slurm(environ)):
        return None
    missing = [f"--{name.replace('_', '-')}" for name, value in zip(VARIABLES, group, strict=True) if value is None]
    if missing and not _in_slurm(environ):
        raise UserError(f"several processes need {', '.join(missing)} as well, or the variables for it")
    if None not in numbers and numbers[1] >= numbers[0]:
        raise UserError(f"process {numbers[1]} is not one of {numbers[0]}, which are counted from 0")
    if group[0] is not None and not group[0].rpartition(":")[2].isdigit():
        raise UserError(f"{group[0]} is no address of the first process: give it as HOST:PORT")
    return group


def check_distribution(parser, args):
    """Ends the program where an option is given that belongs to `--distribute`."""
    for name in DISTRIBUTION_OPTIONS[1:]:
        if getattr(args, name) is not None and not args.distribute:
            parser.error(f"--{name.replace('_', '-')} belongs to --distribute")


def resume_command(script, args):
    """Returns the command of a script that goes on with a run whose folder stands behind it, on the same devices."""
    return " ".join([*words_for(script), *(["--distribute"] if args.distribute else []), "--resume"])


def _first(environ, names):
    return next((environ[name] for name in names if environ.get(name)), None)


def _number(environ, name):
    text = _first(environ, VARIABLES[name])
    if text is not None and not text.isdigit():
        raise UserError(f"{text} is no number of processes, as {' or '.join(VARIABLES[name])} has it")
    return text if text is None else int(text)


def _in_slurm(environ):
    """Whether this is one of several processes that srun has started."""
    return all(name in environ for name in SLURM_VARIABLES) and environ["SLURM_NTASKS"] != "1"
