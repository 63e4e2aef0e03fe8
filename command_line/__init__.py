"""The command line: option groups that scripts share, args.txt, the devices, and how a script ends on an error.

The five scripts alone import this package. Only the standard library and plain data are loaded with it, so that `-h`
answers at once.
"""

from command_line.devices import choose_tf32, limit_gpu_memory, prepare_backend, report_devices
from command_line.distribution import (
    add_distribution_options,
    check_distribution,
    process_group,
    resume_command,
)
from command_line.groups import (
    PAIRING_ADVICE,
    add_dataset_options,
    add_device_options,
    add_engine_option,
    add_jit_option,
    add_keeping_options,
    add_log_options,
    add_precision_option,
    add_run_options,
    add_training_data_options,
    add_vgg_weights,
    add_white_level,
    check_scale,
)
from command_line.parsing import (
    LARGEST,
    LARGEST_SEED,
    Formatter,
    Parser,
    folder_part,
    id_range,
    model_file,
    number,
    script_parser,
    typed_options,
    words_for,
)
from command_line.running import STOP_SECONDS, STOP_SIGNALS, run
from command_line.runs import (
    RESUME_OPTIONS,
    args_lines,
    evaluation_options,
    run_lines,
    say_done,
)
from command_line.sharing import add_sharing_options, check_sharing

__all__ = [
    "LARGEST", "LARGEST_SEED", "PAIRING_ADVICE", "RESUME_OPTIONS", "STOP_SECONDS", "STOP_SIGNALS", "Formatter",
    "Parser", "add_dataset_options", "add_device_options", "add_distribution_options", "add_engine_option",
    "add_jit_option", "add_keeping_options", "add_log_options", "add_precision_option", "add_run_options",
    "add_sharing_options", "add_training_data_options", "add_vgg_weights", "add_white_level", "args_lines",
    "check_distribution", "check_scale", "check_sharing", "choose_tf32", "evaluation_options", "folder_part",
    "id_range", "limit_gpu_memory", "model_file", "number", "prepare_backend", "process_group", "report_devices",
    "resume_command", "run", "run_lines", "say_done", "script_parser", "typed_options", "words_for",
]
