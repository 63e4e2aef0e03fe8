"""Learning rates."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="super_resolution")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Lets the learning rate of `schedule` rise linearly from 0 over the first `num_steps` steps."""

    def __init__(self, schedule, num_steps):
        super().__init__()
        self.schedule, self.num_steps = schedule, num_steps

    def __call__(self, step):
        done = (ops.cast(step, "float32") + 1) / self.num_steps
        return self.schedule(step) * ops.minimum(done, 1.0)

    def get_config(self):
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "num_steps": self.num_steps}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["num_steps"])
