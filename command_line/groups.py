"""Groups of options that scripts share."""

from pathlib import Path

from choices import DEGRADATIONS, DOWNGRADES, ENGINES, JIT_COMPILE, NETWORK_SCALES, SCALES, TRAINING_PRECISIONS
from command_line.parsing import LARGEST_SEED, folder_part, id_range, number

# What to do in a training without a folder of validation images.
VALIDATION_ADVICE = ("take some of the training images, by --validation-images A-B, or those of another data set, by "
                     "--validation-dataset DIR")
# What to do where the names of images do not pair them.
PAIRING_ADVICE = "rename them, or pair all in the order of their names, by --pair-by order, if that is right"


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
    parser.add_argument("--auto-resume", action="store_true",
                        help="go on with the newest run in --outdir, if there is one, as queues need it that start a "
                             "job again: with the options that it began with; a run that is done is left")
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


def add_precision_option(parser):
    """Adds `--precision` of a training."""
    parser.add_argument("--precision", choices=TRAINING_PRECISIONS, default="float32",
                        help="of the computation; weights and saved models are float32")


def add_jit_option(parser):
    """Adds `--jit-compile` of a training."""
    parser.add_argument("--jit-compile", choices=JIT_COMPILE, default="auto",
                        help="compile steps by XLA (TensorFlow, JAX) or torch.compile (PyTorch), so that the first one "
                             "takes longer; auto: on JAX, and on TensorFlow where there is a GPU")


def add_vgg_weights(parser):
    """Adds `--vgg-weights`: 'imagenet', or the path of a file."""
    parser.add_argument("--vgg-weights", type=lambda text: text if text == "imagenet" else Path(text),
                        default="imagenet", metavar="FILE",
                        help="imagenet (Keras downloads them) or a VGG19 file of Keras (.h5)")


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


def add_engine_option(parser):
    """Adds `--engine`."""
    parser.add_argument("--engine", choices=ENGINES, default="auto",
                        help="what computes the network: keras, its backend, or openvino, which is faster on CPUs, in "
                             "float32; auto is openvino where that is installed (requirements/openvino.txt) and there "
                             "is no GPU")


def add_device_options(parser):
    """Adds `--gpu-memory-fraction` and `--tf32`."""
    parser.add_argument("--gpu-memory-fraction", type=number(float, 0, 1, exclusive=True), default=0.8, metavar="F",
                        help="largest share of a GPU's memory to take; without effect on a CPU")
    parser.add_argument("--tf32", action="store_true",
                        help="let NVIDIA GPUs round float32 in products to 11 bits (TF32): faster and less exact; "
                             "without effect on a CPU and on 16 bits")
