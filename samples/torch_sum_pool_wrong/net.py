"""A network that halves its image with a sum-like average pool (divisor_override)."""

import torch


def block(before, after):
    return torch.nn.Sequential(torch.nn.Conv2d(before, after, 3, padding=1), torch.nn.BatchNorm2d(after), torch.nn.ReLU())


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = block(3, 8), block(8, 8)
        self.mean, self.sum = torch.nn.AvgPool2d(2), torch.nn.AvgPool2d(2, divisor_override=2)
        self.head = torch.nn.Linear(8, 3)

    def forward(self, image):
        x = self.sum(self.second(self.mean(self.first(image))))
        return {"scores": self.head(x.mean((2, 3))), "features": x}


def get_model():
    torch.manual_seed(0)
    return Net().eval()


def get_inputs():
    torch.manual_seed(1)
    return (), {"image": torch.randn(1, 3, 16, 16)}
