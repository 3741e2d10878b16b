"""VGG16 as a Sequential Keras model, its convolutions added in a loop."""

from tensorflow import keras
from tensorflow.keras import layers

# (convolutions, channels) of every block; each block ends in a max pooling
BLOCKS = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]


def vgg16(input_shape=(224, 224, 3), num_classes=1000, hidden=4096):
    """Thirteen convolutions, three fully connected layers."""
    model = keras.Sequential(name="vgg16")
    model.add(keras.Input(shape=input_shape))
    for number, channels in BLOCKS:
        for _ in range(number):
            model.add(layers.Conv2D(channels, (3, 3), padding="same", activation="relu"))
        model.add(layers.MaxPooling2D((2, 2), strides=(2, 2)))
    model.add(layers.Flatten())
    # two hidden layers, then one score per class
    for _ in range(2):
        model.add(layers.Dense(hidden, activation="relu"))
        model.add(layers.Dropout(0.5))
    model.add(layers.Dense(num_classes, activation="softmax"))
    return model


if __name__ == "__main__":
    vgg16().summary()
