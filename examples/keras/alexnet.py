"""AlexNet as a functional Keras model, after "ImageNet Classification with Deep Convolutional Neural Networks"."""

import keras
from keras import layers


def alexnet(input_shape=(227, 227, 3), num_classes=1000, dropout=0.5):
    """Five convolutions, three fully connected layers.

    Args:
        input_shape: height, width and channels of an image.
        num_classes: how many classes the last layer tells apart.
        dropout: probability of dropping a feature after a fully connected layer.
    """
    inputs = keras.Input(shape=input_shape)

    # a large stride at the start keeps the later feature maps small
    x = layers.Conv2D(96, 11, strides=4, activation="relu", name="conv1")(inputs)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Conv2D(256, 5, padding="same", activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Conv2D(384, 3, padding="same", activation="relu", name="conv3")(x)
    x = layers.Conv2D(384, 3, padding="same", activation="relu", name="conv4")(x)
    x = layers.Conv2D(256, 3, padding="same", activation="relu", name="conv5")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)

    # the classifier
    x = layers.Flatten()(x)
    x = layers.Dense(4096, activation="relu", name="fc1")(x)
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(4096, activation="relu", name="fc2")(x)
    x = layers.Dropout(dropout)(x)
    outputs = layers.Dense(num_classes, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, outputs, name="alexnet")


if __name__ == "__main__":
    alexnet().summary()
