"""The command line: option groups that scripts share, args.txt, the devices, and how a script ends on an error.

The five scripts alone import this module. Only the standard library and plain data are loaded with it, so that `-h`
answers at once.
"""

import argparse
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

from choices import DEGRADATIONS, DOWNGRADES, MODEL_SUFFIXES, NETWORK_SCALES, SCALES, TRAINING_PRECISIONS
from errors import UserError, describe, printable
from files import read_text

LARGEST = 2**31 - 1  # of whole numbers: what every library underneath takes
LARGEST_SEED = 2**32 - 1  # what NumPy's and the backends' generators take
# What may be typed beside --resume.
RESUME_OPTIONS = (
    "resume", "accept_changes", "dataset", "validation_dataset", "epochs", "num_workers", "use_multiprocessing",
    "max_queue_size", "gpu_memory_fraction", "print_model_summary", "debug", "log_interval", "log_steps", "save_every",
    "keep_last")


STOP_SIGNALS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "the terminal was closed"}
STOP_SECONDS = 5  # which a stopped script has to clean up


class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the layout of a script's docstring and adds the default of every option that has one."""

    def _get_help_string(self, action):
        return action.help if action.default is None else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the command line in one line that points to the help, instead of all options."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {printable(message)} (python {self.prog} -h shows what there is)\n")


def script_parser(doc):
    """Returns a parser whose help starts with the script's docstring `doc`."""
    parser = Parser(description=doc.strip(), formatter_class=Formatter, allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def run(main, args):
    """Calls `main(args)` and returns the exit code: what `main` returned, or 1 after an error.

    A `UserError` or an `OSError` is one line on stderr; `--debug` shows the traceback as well. SIGINT, SIGTERM and
    SIGHUP unwind what is running as Ctrl-C does; the exit code is then the one that shells give for the signal.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes hide our own lines
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # any file name can be shown, in any locale
    with _StopSignals() as signals:
        try:
            return main(args) or 0
        except KeyboardInterrupt:
            return _stopped(signals.received or signal.SIGINT)
        except Exception as error:
            if signals.received:  # a library has made an error of it, or the terminal to be written to is closed
                return _stopped(signals.received)
            if not isinstance(error, (UserError, OSError)):
                raise
            if args.debug:
                traceback.print_exc()
            print(f"{_script_name()}: error: {describe(error)}", file=sys.stderr)
            return 1


def _stopped(number):
    """Says that a signal ended the script, and returns the exit code."""
    with suppress(OSError):  # the terminal may be gone
        print(f"{_script_name()}: {STOP_SIGNALS[signal.Signals(number).name]}", file=sys.stderr)
    return 128 + number


def _script_name():
    return Path(sys.argv[0]).name


class _StopSignals:
    """Within the `with` block the first signal of `STOP_SIGNALS` raises `KeyboardInterrupt`, once.

    Those that follow would interrupt the cleaning up. They are ignored for some seconds; then they end the process.
    After the block they are ignored, since Python's own end takes a while, in which they would change the exit code.
    """

    def __enter__(self):
        self.received, self._time, self._handlers = None, None, {}
        if threading.current_thread() is threading.main_thread():
            numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
            self._handlers = {number: signal.signal(number, self._receive) for number in numbers
                              if signal.getsignal(number) != signal.SIG_IGN}  # as nohup has it for SIGHUP
        return self

    def __exit__(self, *_):
        for number, handler in self._handlers.items():
            signal.signal(number, signal.SIG_IGN if self.received else handler)

    def _receive(self, number, _):
        if self.received is None:
            self.received, self._time = number, time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - self._time > STOP_SECONDS:
            os._exit(128 + self.received)


def typed_options(parser, argv=None):
    """Returns the options that stand on the command line, name to value, without any default."""
    absent = object()
    names = [action.dest for action in _options(parser)]
    args = parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(names, absent)))
    return {name: value for name, value in vars(args).items() if value is not absent}


def number(kind, minimum, maximum=None, exclusive=False):
    """Returns an argparse type: a number of type `kind` between `minimum` and `maximum`.

    With `exclusive`, the minimum itself is not allowed. Without a maximum, whole numbers end at `LARGEST`, and other
    numbers must be finite.
    """
    if maximum is None and kind is int:
        maximum = LARGEST
    bound = f"{'above' if exclusive else 'at least'} {minimum}" + ("" if maximum is None else f" and at most {maximum}")

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        in_range = value is not None and (value > minimum if exclusive else value >= minimum)
        if not in_range or value == math.inf or (maximum is not None and value > maximum):
            noun = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text} is not allowed: give {noun} {bound}")
        return value

    return parse


def id_range(text):
    """Parses an image range 'A-B' (or a single 'A') into the range of ids A, A + 1, ..., B."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is not an image range: give the first and the last id, as in 1-800")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise argparse.ArgumentTypeError(f"{text} is an empty image range: the first id must not be above the last")
    if last > LARGEST:
        raise argparse.ArgumentTypeError(f"{text} is not an image range: ids end at {LARGEST}")
    return range(first, last + 1)


def model_file(text):
    """Parses a model: the path of a file, or the name of a shipped model as it is."""
    return Path(text) if os.sep in text or text.lower().endswith(MODEL_SUFFIXES) else text


def folder_part(text):
    """Parses a part of a folder's name: letters, digits, dots, dashes and underlines."""
    if not re.fullmatch(r"[\w.-]+", text) or set(text) == {"."}:
        raise argparse.ArgumentTypeError(f"{text} is not allowed: give the part of the folder's name behind "
                                         "DIV2K_train_LR_")
    return text


def resume_args(parser, typed, allowed):
    """Returns the arguments in args.txt of the run to go on with, with the options that were typed beside.

    Args:
        parser: of the script that goes on.
        typed: `typed_options`, with 'resume'.
        allowed: names of the options that may differ from the run's own.
    """
    refused = {name: value for name, value in typed.items() if name not in allowed}
    if refused:
        option = f"--{next(iter(refused)).replace('_', '-')}"
        parser.error(f"{option} cannot be changed with --resume: the run goes on with its own"
                     f"{_in_a_new_run(parser, typed['resume'], refused)}")
    path = typed["resume"] / "args.txt"
    try:
        lines = read_text(path).split("\n")
    except OSError as error:
        parser.error(f"{path}: {error.strerror}: --resume takes the folder of a run")
    except UserError as error:
        parser.error(str(error))
    args = _parse_lines(parser, path, [line.removesuffix("\r") for line in lines if line])
    for name, value in typed.items():
        setattr(args, name, value)
    return args


def _in_a_new_run(parser, folder, refused):
    """Returns how a new run goes on with the last model of the run in `folder`, and with the options `refused`."""
    if refused.keys() & {"pretrained_model", "initial_epoch"}:
        return ""
    epochs = {int(match[1]): path for path in (folder / "models").glob("*.keras")
              if (match := re.match(r"(?:generator-)?epoch-(\d+)", path.name))}
    number = max(epochs, default="N")
    words = ["--pretrained-model", str(epochs.get(number, "FILE"))]
    if "initial_epoch" in {action.dest for action in _options(parser)}:
        words += ["--initial-epoch", str(number)]
    for line in args_lines(parser, argparse.Namespace(**refused)):
        words += line.split("=", 1)
    return f"; what goes on with another is a new run: {shlex.join(words)}"


def _parse_lines(parser, path, lines):
    """Returns the arguments that `args_lines` wrote to `path`; any other content is an error that names the file."""
    options = {name for action in _options(parser) for name in action.option_strings if name.startswith("--")}

    def refuse(message):
        Parser.error(parser, f"{path}: is damaged or not of this script: {message}")

    if not lines:
        refuse("it is empty")
    for line in lines:
        if line.partition("=")[0] not in options:
            refuse(f"{line[:100]!r} is no option")
    parser.error = refuse
    try:
        return parser.parse_args(lines)
    finally:
        del parser.error


def args_lines(parser, args):
    """Returns the lines of args.txt: every option of `args` as '--option=value', from which `parser` reads the same.

    Paths are absolute, so that the run can be gone on with in another folder.
    """
    lines = []
    for action in _options(parser):
        value = getattr(args, action.dest, None)
        if value is None:
            continue
        option = next(name for name in action.option_strings if name.startswith("--"))
        if isinstance(value, bool):
            if value:
                lines.append(option)
            elif f"--no-{option[2:]}" in action.option_strings:
                lines.append(f"--no-{option[2:]}")
        elif isinstance(value, Path):
            lines.append(f"{option}={value.absolute()}")
        elif isinstance(value, range):
            lines.append(f"{option}={value[0]}-{value[-1]}")
        else:
            lines.append(f"{option}={value}")
    for line in lines:
        if "\n" in line or "\r" in line:
            raise UserError(f"{line}: a line of args.txt cannot hold a line break: rename the file or folder")
    return lines


def fixed_options(parser, args, allowed):
    """Returns the lines of `args_lines` of what a run keeps and no default is: all but the options `allowed`."""
    kept = {action.dest for action in _options(parser)} - {*allowed, "outdir"}
    lines, defaults = (args_lines(parser, argparse.Namespace(**{name: vars(a)[name] for name in kept}))
                       for a in (args, parser.parse_args([])))
    return [line for line in lines if line not in defaults]


def _options(parser):
    """Returns the options of a parser; argparse itself has no public way to list them."""
    return [action for action in parser._actions if action.dest != "help"]


def check_scale(parser, name, scale):
    """Ends the program where the network `name` is not for `scale`."""
    scales = NETWORK_SCALES.get(name, SCALES)
    if scale not in scales:
        parser.error(f"scale {scale} is not supported by {name}: choose {', '.join(map(str, scales))}")


def add_run_options(parser):
    """Adds where a training run is kept, its seed, and `--resume`."""
    parser.add_argument("-o", "--outdir", "--output", type=Path, default="./output", metavar="DIR",
                        help="folder in which the run's folder is made")
    parser.add_argument("--seed", type=number(int, 0, LARGEST_SEED), default=0, metavar="N",
                        help="of weights and data")
    parser.add_argument("--resume", type=Path, metavar="RUN_DIR", help="go on with the run in this folder")
    parser.add_argument("--accept-changes", action="store_true",
                        help="go on although the data set or args.txt is another one than the run began with")


def add_training_data_options(parser, scale):
    """Adds the data set, the scale (with the default `scale`), image ranges and how patches are loaded."""
    add_dataset_options(parser)
    parser.add_argument("-s", "--scale", type=int, choices=SCALES, default=scale, help="factor of super-resolution")
    parser.add_argument("--training-images", type=id_range, metavar="A-B", help="ids; by default all that are there")
    parser.add_argument("--validation-images", type=id_range, metavar="A-B",
                        help="ids; by default all that are there; without a folder of validation images they are "
                             "taken from the training images")
    parser.add_argument("--validation-dataset", type=Path, metavar="DIR",
                        help="data set whose validation images are taken instead")
    parser.add_argument("--no-augmentation", action="store_true", help="do not flip and rotate the training patches")
    parser.add_argument("--num-workers", type=number(int, 1), default=1, metavar="N", help="threads that load images")
    parser.add_argument("--use-multiprocessing", action="store_true", help="load images in processes, not in threads")
    parser.add_argument("--max-queue-size", type=number(int, 1), default=16, metavar="N", help="batches loaded ahead")


def add_keeping_options(parser):
    """Adds which models of a run are kept."""
    parser.add_argument("--save-every", type=number(int, 1), default=1, metavar="N",
                        help="keep the models of every Nth epoch, of the last epoch, and the best")
    parser.add_argument("--keep-last", type=number(int, 1), metavar="N",
                        help="keep only the last N of the saved models, and the best")


def add_log_options(parser):
    """Adds how often a run tells how far it is."""
    parser.add_argument("--log-interval", type=number(float, 0), default=30.0, metavar="SECONDS",
                        help="where stderr is no terminal: time between two lines about the steps")
    parser.add_argument("--log-steps", type=number(int, 1), default=100, metavar="N",
                        help="write figures of every N steps to history-steps.csv and for TensorBoard")


def print_start(run, logs_dir):
    """Says on how many images a `Training` trains and validates, and how its figures are seen."""
    num_valid = run.validate.num_images if run.validate else "none"
    print(f"images: {len(run.sequence.stream.pairs)} for training, {num_valid} for validation\n"
          f"figures: tensorboard --logdir {shlex.quote(str(logs_dir))}", flush=True)


def print_end(run, dataset_options):
    """Names the best and the last model of a `Training` that has ended, and the commands that evaluate and use it.

    Args:
        run: the `Training`.
        dataset_options: words that let evaluate.py take its validation images.
    """
    best, last = run.best_model, run.last_model
    if last is None:
        return
    if best is not None:
        print(f"best model by {run.figure_name}: {best}")
    if last != best:
        print(f"last model: {last}")
    model = str(best or last)
    print(f"    {shlex.join(['python', 'evaluate.py', *dataset_options, '-i', model])}\n"
          f"    {shlex.join(['python', 'demo.py', '-i', './photos', '-m', model])}")


def evaluation_options(parser, args, names=("dataset", "downgrade", "downgrade_strength", "downgrade_order",
                                            "validation_images")):
    """Returns the words that let evaluate.py take the validation images of a training.

    Args:
        parser, args: of the training; `args` has the options `names`.
        names: of the options that evaluate.py has too.
    """
    dataset = args.validation_dataset or args.dataset
    if getattr(args, "no_validation", False) or not (dataset / "DIV2K_valid_HR").is_dir():
        return ["--images", "./photos"]  # those of the training folder can be had there alone
    chosen = {name: getattr(args, name) for name in names if getattr(args, name) != parser.get_default(name)}
    return args_lines(parser, argparse.Namespace(**{**chosen, "dataset": dataset}))


def add_precision_option(parser):
    """Adds `--precision` of a training."""
    parser.add_argument("--precision", choices=TRAINING_PRECISIONS, default="float32",
                        help="of the computation; weights and saved models are float32")


def add_dataset_options(parser):
    """Adds `--dataset` and `--downgrade`."""
    parser.add_argument("-d", "--dataset", type=Path, default="./DIV2K_BIN", metavar="DIR",
                        help="data set in DIV2K's layout, converted to numpy arrays")
    parser.add_argument("--downgrade", type=folder_part, default="bicubic", metavar="NAME",
                        help=f"how the low-resolution images were made, such as {', '.join(DOWNGRADES)}: what the "
                             "folders DIV2K_train_LR_NAME and DIV2K_valid_LR_NAME are called; "
                             f"{' and '.join(DEGRADATIONS)} are made on the fly where there are no such folders")
    parser.add_argument("--downgrade-strength", type=number(float, 0, 3), default=1.0, metavar="F",
                        help=f"{', '.join(DEGRADATIONS)}: 0 (plain bicubic) to 3")
    parser.add_argument("--downgrade-order", type=int, choices=(1, 2), default=1,
                        help="photo: 2 does the chain of blur, resizing, noise and JPEG twice")


def add_white_level(parser, what):
    """Adds `--white-level`, whose help says `what` it belongs to."""
    parser.add_argument("--white-level", type=number(int, 1, 65535), metavar="N",
                        help=f"{what}: value of white in image files of 16 bits, such as 1023, 4095 or 16383 where "
                             "they hold 10, 12 or 14 bits; by default 65535")


def add_device_options(parser):
    """Adds `--gpu-memory-fraction`."""
    parser.add_argument("--gpu-memory-fraction", type=number(float, 0, 1, exclusive=True), default=0.8, metavar="F",
                        help="largest share of a GPU's memory to take; without effect on a CPU")


def prepare_backend(gpu_memory_fraction):
    """Makes Keras ready for a script: its defaults, the share of each GPU's memory, and a line that names the devices.

    The scripts work NHWC and in float32 whatever a user's keras.json says.
    """
    limit_gpu_memory(gpu_memory_fraction)
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    report_devices()


def limit_gpu_memory(fraction):
    """Lets the Keras backend take at most `fraction` of each GPU's memory; call it before the first computation.

    Where the total memory of a GPU cannot be read (no nvidia-smi), TensorFlow takes memory as it needs it.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", str(fraction))  # JAX reads it when it is imported
    import keras

    if keras.backend.backend() == "tensorflow":
        _limit_tensorflow(fraction)
    elif keras.backend.backend() == "torch":
        import torch

        for device in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(fraction, device)


def report_devices():
    """Prints the Keras backend and its devices, and a warning if there is a GPU that the backend does not use."""
    import keras

    backend = keras.backend.backend()
    gpus = _FIND_GPUS[backend]()
    print(f"{backend}: {', '.join(gpus) if gpus else 'CPU'}")
    present = _nvidia_smi("--query-gpu=name")
    if present and not gpus:
        print(f"warning: {', '.join(present)} is there but {backend} does not use it; requirements/gpu.txt installs "
              "what TensorFlow needs for it", file=sys.stderr)


def _tensorflow_gpus():
    import tensorflow as tf

    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")]


def _jax_gpus():
    import jax

    return [device.device_kind for device in jax.devices() if device.platform != "cpu"]


def _torch_gpus():
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


_FIND_GPUS = {"tensorflow": _tensorflow_gpus, "jax": _jax_gpus, "torch": _torch_gpus}


def _limit_tensorflow(fraction):
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    totals = _gpu_memory_mib() if gpus else []
    for gpu, total in zip(gpus, totals + [None] * len(gpus), strict=False):
        if total is None:
            tf.config.experimental.set_memory_growth(gpu, True)
        else:
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(total * fraction))
            tf.config.set_logical_device_configuration(gpu, [limit])


def _gpu_memory_mib():
    """Returns the memory of each visible GPU in MiB, or an empty list where that is not known."""
    return [int(line) for line in _nvidia_smi("--query-gpu=memory.total") if line.isdigit()]


def _nvidia_smi(query):
    """Returns the answer of nvidia-smi for each visible GPU; an empty list where it cannot be asked."""
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible == "":  # the user hides the GPUs
        return []
    if visible:
        command.append(f"--id={visible}")
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
