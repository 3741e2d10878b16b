"""VGG16 as a Sequential Keras model, its convolutions added in a loop."""

from torch import nn

# (convolutions, channels) of every block; each block ends in a max pooling
BLOCKS = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]


def vgg16(input_shape=(224, 224, 3), num_classes=1000, hidden=4096):
    """Thirteen convolutions, three fully connected layers."""
    model = nn.Sequential()
    in_channels = 3
    for number, channels in BLOCKS:
        for _ in range(number):
            model.append(
                nn.Sequential(nn.Conv2d(in_channels, channels, (3, 3), padding=1), nn.ReLU())
            )
            in_channels = channels
        model.append(nn.MaxPool2d((2, 2), stride=(2, 2)))
    model.append(nn.Flatten())
    in_features = channels
    # two hidden layers, then one score per class
    for _ in range(2):
        model.append(nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU()))
        model.append(nn.Dropout())
        in_features = hidden
    model.append(nn.Sequential(nn.Linear(hidden, num_classes), nn.Softmax(-1)))
    return model
