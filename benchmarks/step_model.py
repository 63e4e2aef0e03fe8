"""Predicts the time of a training step on several devices, from figures of one device and of the link between them.

    python benchmarks/step_model.py predict --step 1.30 --half-step 0.68 --parameters 593555 --bandwidth 1.1e9 2 4 8

A step of N devices takes the fixed part of a step, an Nth of the part that grows with the batch, and the time in which
a ring adds up the gradients: every device sends and receives 2 (N - 1) / N of their bytes, in 2 (N - 1) rounds for each
message. A GPU's gradients go in few messages, a CPU's in one for each variable. Nothing is taken to happen at the same
time.

    python benchmarks/step_model.py link --parameters 593555 --coordinator localhost:9000 --num-processes 2 \\
        --process-id 0

measures the link between processes on JAX, started once for each: the median time to add up as many float32 numbers.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

FLOAT_BYTES = 4  # gradients are float32 in every precision


def step_seconds(num_devices, step, half_step, parameters, bandwidth, latency=0.0, messages=1):
    """Returns the predicted seconds of a step.

    Args:
        num_devices: that share the batch.
        step: seconds of a step of one device with the whole batch.
        half_step: the same with half the batch.
        parameters: of the network.
        bandwidth: bytes a second that a device sends, while it receives as many.
        latency: seconds of a round of the ring.
        messages: in which the gradients go.
    """
    growing = 2 * (step - half_step)
    rounds = 2 * (num_devices - 1)
    sent = rounds / num_devices * parameters * FLOAT_BYTES
    return step - growing + growing / num_devices + sent / bandwidth + messages * rounds * latency


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = p.add_subparsers(required=True)
    predict = commands.add_parser("predict", help="predict steps")
    predict.add_argument("--step", type=float, required=True, metavar="SECONDS", help="of one device, whole batch")
    predict.add_argument("--half-step", type=float, required=True, metavar="SECONDS", help="with half the batch")
    predict.add_argument("--parameters", type=int, required=True, help="of the network")
    predict.add_argument("--bandwidth", type=float, required=True, help="bytes a second, each way")
    predict.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="of a round of the ring")
    predict.add_argument("--messages", type=int, default=1, help="in which the gradients go")
    predict.add_argument("devices", type=int, nargs="+", help="numbers of devices")
    predict.set_defaults(main=print_predictions)
    link = commands.add_parser("link", help="measure the link between processes")
    link.add_argument("--parameters", type=int, required=True, help="numbers that are added up")
    link.add_argument("--coordinator", required=True, metavar="HOST:PORT", help="of the first process")
    link.add_argument("--num-processes", type=int, required=True)
    link.add_argument("--process-id", type=int, required=True)
    link.add_argument("--rounds", type=int, default=30)
    link.set_defaults(main=measure_link)
    return p


def print_predictions(args):
    """Prints the predicted steps, and how much faster than one device they are."""
    for count in args.devices:
        seconds = step_seconds(count, args.step, args.half_step, args.parameters, args.bandwidth, args.latency,
                               args.messages)
        print(f"{count:3d} devices: {1000 * seconds:9.1f} ms a step, {args.step / seconds:5.2f} x one device, "
              f"{100 * args.step / seconds / count:3.0f} % of {count} x")


def measure_link(args):
    """Prints the median time to add up the numbers of all processes, and the bytes a second that it stands for."""
    import os

    os.environ["KERAS_BACKEND"] = "jax"
    from training.distribution import ParallelDevices
    from training.processes import join

    join((args.coordinator, args.num_processes, args.process_id))
    import jax
    import numpy as np
    from jax.sharding import NamedSharding, PartitionSpec

    devices = ParallelDevices()
    mesh = devices.distribution.device_mesh.backend_mesh
    spread = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
    own = np.ones((jax.local_device_count(), args.parameters), np.float32)
    numbers = jax.make_array_from_process_local_data(spread, own)
    add = jax.jit(lambda x: x.sum(axis=0), out_shardings=NamedSharding(mesh, PartitionSpec()))
    seconds = []
    for _ in range(args.rounds):
        start = time.perf_counter()
        add(numbers).block_until_ready()
        seconds.append(time.perf_counter() - start)
    median, count = statistics.median(seconds), devices.num_devices
    sent = 2 * (count - 1) / count * args.parameters * FLOAT_BYTES
    print(f"{args.parameters:,} numbers: {1000 * median:.2f} ms, {sent / median / 1e9:.2f} GB/s each way", flush=True)
    devices.end_together()


if __name__ == "__main__":
    arguments = parser().parse_args()
    arguments.main(arguments)
