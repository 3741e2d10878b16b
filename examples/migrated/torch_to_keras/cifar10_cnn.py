"""The small convolutional network of the "Training a Classifier" tutorial."""

import math

import keras
from keras import layers, ops


class Net(keras.Model):
    """Classifies the 32x32 colour images of CIFAR-10."""

    def __init__(self):
        super().__init__()
        self.conv1 = layers.Conv2D(6, 5)
        self.pool = layers.MaxPooling2D(strides=2)
        self.conv2 = layers.Conv2D(16, 5)
        self.fc1 = layers.Dense(120)
        self.fc2 = layers.Dense(84)
        self.fc3 = layers.Dense(10)

    def call(self, x):
        x = self.pool(ops.relu(self.conv1(x)))
        x = self.pool(ops.relu(self.conv2(x)))
        x = ops.reshape(
            x, (-1, math.prod(x.shape[1:]))
        )  # flatten all dimensions except batch
        x = ops.relu(self.fc1(x))
        x = ops.relu(self.fc2(x))
        x = self.fc3(x)
        return x
