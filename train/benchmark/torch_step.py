"""The same steps in eager PyTorch: images in memory, autocast and fused Adam."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from train.benchmark.cases import ALICE, LAGVAE, STEPS, Case, run_config
from train.loop import assembly
from zoo.errors import unknown

FLOOR = 0.01
RAW_SCALE = math.log(math.expm1(1.0 - FLOOR))


def prepare(case: Case) -> tuple[dict[str, Any], Callable[[Iterator[int]], None]]:
    """Builds the step of `case.model`; returns its settings and a function that trains in bursts.

    Raises:
      InputError: the model has no step here.
    """
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    dataset = assembly.load_dataset(run_config(case))
    images = torch.from_numpy(np.moveaxis(dataset.split("train").images, 3, 1) / np.float32(255))
    step = step_of(case)
    if case.channels_last:
        for parameter in step.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.to(memory_format=torch.channels_last)

    def batches() -> Iterator[torch.Tensor]:
        while True:
            order = torch.randperm(len(images))
            for numbers in order[: len(images) // case.batch_size * case.batch_size].split(
                case.batch_size
            ):
                x = images[numbers]
                if dataset.binarization == "dynamic":
                    x = torch.bernoulli(x)
                yield x.to(memory_format=torch.channels_last) if case.channels_last else x

    def train(bursts: Iterator[int]) -> None:
        feed = batches()
        for steps in bursts:
            for _ in range(steps):
                e, z_p = torch.randn(2, case.batch_size, case.latent_dim)
                step(next(feed), e, z_p)
            step.total.item()

    uses = {
        "data": "resident",
        "jit": False,
        "precision": case.precision,
        "steps_per_execution": 1,
    }
    return uses, train


class Step(nn.Module):
    """Base of the three steps: an autoencoder, with Adam."""

    optimizer = (1e-3, 0.9)

    def __init__(self, case: Case):
        super().__init__()
        self.in_bfloat16 = case.precision == "bfloat16"
        if case.network == "dcgan":
            self.encoder = dcgan_encoder(case.width, 2 * case.latent_dim)
            self.decoder = dcgan_decoder(case.width, case.latent_dim)
        else:
            self.encoder = mlp(784, *case.hidden, 2 * case.latent_dim)
            self.decoder = mlp(case.latent_dim, *case.hidden, 784)
        self.adam = adam([*self.encoder.parameters(), *self.decoder.parameters()], *self.optimizer)
        self.total = torch.zeros(())

    def forward(self, x: torch.Tensor, e: torch.Tensor, z_p: torch.Tensor) -> None:
        """Trains on images x [B, 1, 28, 28] with noise e and prior samples z_p, [B, K]."""
        raise NotImplementedError

    def run(self, network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.in_bfloat16):
            outputs = network(inputs)
        return outputs.float()

    def encoded(self, x: torch.Tensor, e: torch.Tensor) -> Sequence[torch.Tensor]:
        """Returns the mean, the standard deviation and a sample of q(z|x)."""
        mean, raw = self.run(self.encoder, x).chunk(2, dim=1)
        scale = FLOOR + softplus(RAW_SCALE + raw)
        return mean, scale, mean + scale * e

    def decoded(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Returns the logits of p(x|z) in the shape of x."""
        return self.run(self.decoder, z).view_as(x)


class Vae(Step):
    """Minimise REC_x + RATE."""

    def forward(self, x: torch.Tensor, e: torch.Tensor, z_p: torch.Tensor) -> None:
        mean, scale, z = self.encoded(x, e)
        loss = distortion(self.decoded(z, x), x) + rate(mean, scale)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.total += loss.detach()


class LagVae(Step):
    """Minimise RATE subject to REC_x + RATE <= 104 and MMD_z <= 5e-4, multipliers by ascent."""

    size = 2.0

    def __init__(self, case: Case):
        super().__init__(case)
        self.tolerances, self.slack = torch.tensor([104.0, 5e-4]), torch.tensor([4.0, 5e-4])
        self.mu = torch.tensor([1.0, 100.0]) * self.slack / self.size
        self.average: torch.Tensor | None = None
        self.by_samples = case.mmd == "samples"

    def forward(self, x: torch.Tensor, e: torch.Tensor, z_p: torch.Tensor) -> None:
        multipliers = self.mu * self.size / self.slack
        mean, scale, z = self.encoded(x, e)
        cost, code = distortion(self.decoded(z, x), x), rate(mean, scale)
        mmd = mmd_of_samples(z, z_p) if self.by_samples else mmd_of_posteriors(mean, scale, z)
        violations = torch.stack([cost + code, mmd]) - self.tolerances
        loss = code + (multipliers * violations).sum()
        self.adam.zero_grad()
        (loss / (self.size + (multipliers * self.slack).sum())).backward()
        self.adam.step()
        # xi_0 = g_0,   xi_t = 0.9 xi_{t-1} + 0.1 g_t;   mu <- clip( mu + rate xi )
        g = violations.detach() / self.slack
        self.average = g if self.average is None else self.average.lerp(g, 0.1)
        self.mu = (self.mu + 20.0 / STEPS * self.average).clamp(0.0, 1e3)
        self.total += loss.detach()


class Alice(Step):
    """Minimise REC_x + JS_xz over a game with a critic of pairs (x, z)."""

    optimizer = (2e-4, 0.5)

    def __init__(self, case: Case):
        super().__init__(case)
        self.critic = mlp(784 + case.latent_dim, *case.hidden, 1, activation=nn.LeakyReLU(0.2))
        self.critic_adam = adam(list(self.critic.parameters()), *self.optimizer)

    def forward(self, x: torch.Tensor, e: torch.Tensor, z_p: torch.Tensor) -> None:
        _, _, z = self.encoded(x, e)
        rec = distortion(self.decoded(z, x), x)
        q = torch.cat([x.flatten(1), z], dim=1)
        p = torch.cat([self.decoded(z_p, x).sigmoid().flatten(1), z_p], dim=1)
        t_q, t_p = self.run(self.critic, torch.cat([q, p])).chunk(2)
        # L(T) = E_q softplus(-T) + E_p softplus(T)
        critic_loss = (softplus(-t_q) + softplus(t_p)).mean()
        exchanged = 0.5 * (softplus(t_q) + softplus(-t_p)).mean()
        descend(self.adam, (rec + exchanged) / 3.0, again=True)
        descend(self.critic_adam, critic_loss, again=False)
        self.total += (rec + math.log(2.0) - 0.5 * critic_loss).detach()


STEPS_OF: dict[str, type[Step]] = {"vae": Vae, LAGVAE: LagVae, ALICE: Alice}


def step_of(case: Case) -> Step:
    """Returns the step of `case.model`.

    Raises:
      InputError: the model has no step here.
    """
    if case.model not in STEPS_OF or (case.model == ALICE and case.network != "mlp"):
        raise unknown("model in PyTorch", f"{case.model} {case.network}", STEPS_OF)
    return STEPS_OF[case.model](case)


def adam(parameters: list[nn.Parameter], rate: float, beta_1: float) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, rate, betas=(beta_1, 0.999), eps=1e-7, fused=True)


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor, again: bool) -> None:
    """Updates the optimizer's parameters only; `again` keeps the graph for a further call."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter, gradient in zip(
        parameters, torch.autograd.grad(loss, parameters, retain_graph=again), strict=True
    ):
        parameter.grad = gradient
    optimizer.step()


def mlp(*sizes: int, activation: nn.Module | None = None) -> nn.Sequential:
    stack: list[nn.Module] = [nn.Flatten()]
    for a, b in itertools.pairwise(sizes):
        stack += [nn.Linear(a, b), activation or nn.Softplus()]
    return nn.Sequential(*stack[:-1])


def dcgan_encoder(width: int, outputs: int) -> nn.Sequential:
    """Returns 28 -> 14 -> 7 -> 4 pixels; the last convolution has padding 2, as 7 is odd."""
    return nn.Sequential(
        nn.Conv2d(1, width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 4 * width, 4, 2, 2),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4 * width, outputs),
    )


def dcgan_decoder(width: int, latent_dim: int) -> nn.Sequential:
    """Returns 7 -> 14 -> 28 pixels."""
    return nn.Sequential(
        nn.Linear(latent_dim, 7 * 7 * 4 * width),
        nn.Unflatten(1, (4 * width, 7, 7)),
        nn.ReLU(),
        nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, 1, 4, 2, 1),
    )


def distortion(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    # - log p(x|l), summed over pixels
    return binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


def rate(mean: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    # KL(N(m, s^2) || N(0, 1)) = sum_k (m^2 + s^2 - 1) / 2 - log s
    return (0.5 * (mean**2 + scale**2 - 1.0) - scale.log()).sum(dim=1).mean()


def mmd_of_samples(z: torch.Tensor, z_p: torch.Tensor) -> torch.Tensor:
    """Returns the U-statistic of z and z_p, [N, K], kernel exp(-|d|^2 / (2 K))."""
    k_qq, k_qp, k_pp = _kernel(z, z), _kernel(z, z_p), _kernel(z_p, z_p)
    # MMD^2 = E_qq k - 2 E_qp k + E_pp k
    return _mean_of_pairs(k_qq) - 2.0 * k_qp.mean() + _mean_of_pairs(k_pp)


def mmd_of_posteriors(mean: torch.Tensor, scale: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Returns the U-statistic of z and N(0, I), with the gradient of its mean over the noise."""
    v, dims = scale**2, z.shape[1]
    k_pp = (1.0 + 2.0 / dims) ** (-dims / 2)
    between = _expected_kernel(mean[:, None] - mean, v[:, None] + v)
    surrogate = _mean_of_pairs(between) - 2.0 * _expected_kernel(mean, v + 1.0).mean() + k_pp
    with torch.no_grad():
        embedded = _expected_kernel(z, torch.ones_like(z)).mean()
        correction = _mean_of_pairs(_kernel(z, z)) - 2.0 * embedded + k_pp - surrogate
    return correction + surrogate


def _kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    distances = (a**2).sum(dim=1)[:, None] + (b**2).sum(dim=1) - 2.0 * a @ b.T
    return torch.exp(-distances / (2.0 * a.shape[1]))


def _expected_kernel(m: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    # E exp(-|d|^2 / (2 K)) = prod_d sqrt(K / (K + v_d)) exp(-m_d^2 / (2 (K + v_d))),  d ~ N(m, v)
    dims = m.shape[-1]
    return torch.exp(-0.5 * (torch.log1p(v / dims) + m**2 / (dims + v)).sum(dim=-1))


def _mean_of_pairs(k: torch.Tensor) -> torch.Tensor:
    return (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))
