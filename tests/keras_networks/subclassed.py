"""Models and layers with constructors and methods of their own."""

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


class Residual(keras.Model):
    """The residual block of ResNet."""

    def __init__(self, num_channels, use_1x1conv=False, strides=1):
        super().__init__()
        self.conv1 = layers.Conv2D(num_channels, kernel_size=3, padding="same", strides=strides)
        self.conv2 = layers.Conv2D(num_channels, kernel_size=3, padding="same")
        self.conv3 = None
        if use_1x1conv:
            self.conv3 = layers.Conv2D(num_channels, kernel_size=1, strides=strides)
        self.bn1 = layers.BatchNormalization()
        self.bn2 = layers.BatchNormalization()

    def call(self, x, training=False):
        y = keras.activations.relu(self.bn1(self.conv1(x), training=training))
        y = self.bn2(self.conv2(y), training=training)
        if self.conv3 is not None:
            x = self.conv3(x)
        y += x
        return tf.nn.relu(y)


class Projection(layers.Layer):
    """A dense layer that makes its variables itself."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform", trainable=True)
        self.b = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, inputs):
        return tf.matmul(inputs, self.w) + self.b

    def get_config(self):
        return {"units": self.units}


class Net(keras.Model):
    """A small residual network."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.stem = keras.Sequential(
            [
                layers.Conv2D(8, 7, strides=2, padding="same", activation="relu"),
                layers.MaxPool2D(3, 2, padding="same"),
            ]
        )
        self.blocks = [Residual(8), Residual(16, use_1x1conv=True, strides=2)]
        self.pool = layers.GlobalAveragePooling2D()
        self.projection = Projection(12)
        self.dropout = layers.Dropout(0.3)
        self.head = layers.Dense(num_classes)

    def call(self, x, training=False):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, training=training)
        x = self.pool(x)
        x = self.dropout(self.projection(x), training=training)
        return self.head(x)
