"""A small classifier, given to tf2onnx.convert.from_keras as it is."""

import keras
import numpy as np
from keras import layers


def get_keras_model():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def get_inputs():
    return [np.random.RandomState(0).rand(2, 12, 12, 1).astype(np.float32)]
