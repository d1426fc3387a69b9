"""UniPC: unified predictor-corrector sampling (Zhao et al. 2023, arXiv 2302.04867).

Multistep, in x0 form, over continuous time (1/1000..1) whose log alpha is interpolated
linearly between a discrete model's rows, as in DPM-Solver's VP schedule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from modules.sampling.options import SamplerOptions
from modules.sampling.walk import Model, Walk

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Point:
    """One time of the walk and, once known, the model's x0 there."""

    time: float
    alpha: float
    sigma: float
    log_snr: float


def unipc(model: Model, x: Tensor, timesteps: Tensor, walk: Walk) -> Tensor:
    """UniPC-p with the order, variant and spacing of `walk.options`.

    One network call for each of `timesteps`, which otherwise only say where img2img starts.
    """
    options, schedule = walk.options, _Times(walk.schedule.alphas_cumprod)
    count = len(timesteps)
    if count == 0:
        return x
    start = (float(timesteps[-1]) + 1) / schedule.rows if walk.starts_midway else 1.0
    points = schedule.points(start, count, options.uni_pc_skip_type)
    highest = min(options.uni_pc_order, count)

    def predict(latent: Tensor, point: _Point) -> Tensor:
        t = torch.tensor((point.time - 1 / schedule.rows) * schedule.rows, dtype=torch.float32)
        return (latent - point.sigma * model(latent, t)) / point.alpha

    known = [(points[0], predict(x, points[0]))]
    for step in range(1, count + 1):
        order = min(highest, step)
        if options.uni_pc_lower_order_final and step >= highest:
            order = min(order, count + 1 - step)
        move = _Move(known[-order:], points[step], options)
        predicted = move.predictor(x)
        if step == count:
            walk.report(step - 1, torch.tensor(0.0), known[-1][1])
            return predicted
        ahead = predict(predicted, points[step])
        x = move.corrector(x, ahead)
        walk.report(step - 1, torch.tensor(points[step].time), ahead)
        known = [*known, (points[step], ahead)][-highest:]
    return x


class _Times:
    """The points of continuous time: log alpha of a discrete model, interpolated."""

    def __init__(self, alphas_cumprod: Tensor) -> None:
        self._log_alphas: Floats = 0.5 * np.log(alphas_cumprod.double().cpu().numpy())
        self.rows = len(self._log_alphas)
        self._times: Floats = np.linspace(0.0, 1.0, self.rows + 1)[1:]

    def points(self, start: float, steps: int, spacing: str) -> list[_Point]:
        """steps + 1 points from `start` down to 1 / rows."""
        end = 1.0 / self.rows
        if spacing == "logSNR":
            first, last = self._point(start).log_snr, self._point(end).log_snr
            times = [self._time_at(value) for value in np.linspace(first, last, steps + 1)]
        elif spacing == "time_quadratic":
            times = list(np.linspace(math.sqrt(start), math.sqrt(end), steps + 1) ** 2)
        else:
            times = list(np.linspace(start, end, steps + 1))
        return [self._point(float(time)) for time in times]

    def _point(self, time: float) -> _Point:
        log_alpha = float(np.interp(time, self._times, self._log_alphas))
        alpha, sigma = math.exp(log_alpha), math.sqrt(1.0 - math.exp(2.0 * log_alpha))
        return _Point(time, alpha, sigma, log_alpha - math.log(sigma))

    def _time_at(self, log_snr: float) -> float:
        log_alpha = -0.5 * float(np.logaddexp(0.0, -2.0 * log_snr))
        return float(np.interp(log_alpha, self._log_alphas[::-1], self._times[::-1]))


class _Move:
    """One step to `target`: its predictor and, with x0 there, its corrector (algorithms 5-8)."""

    def __init__(
        self, known: Sequence[tuple[_Point, Tensor]], target: _Point, options: SamplerOptions
    ) -> None:
        """known: points with their x0, oldest first; as many as the order."""
        here, self._x0 = known[-1]
        self._here, self._target = here, target
        self._h = target.log_snr - here.log_snr
        earlier = [(point, x0) for point, x0 in reversed(known[:-1])]
        ratios = [(point.log_snr - here.log_snr) / self._h for point, _ in earlier]
        self._slopes = [(x0 - self._x0) / ratio for (_, x0), ratio in zip(earlier, ratios)]
        weights = _vary_weights if options.uni_pc_variant == "vary_coeff" else _fixed_weights
        self._predictor, self._corrector = weights(
            np.array([*ratios, 1.0]), -self._h, options.uni_pc_variant == "bh2"
        )

    def predictor(self, x: Tensor) -> Tensor:
        """x at the target without a network call there (eq. 9)."""
        return self._linear(x) - self._target.alpha * self._sum(self._predictor, self._slopes)

    def corrector(self, x: Tensor, ahead: Tensor) -> Tensor:
        """x at the target given the model's x0 at the predicted one (eq. 3)."""
        slopes = [*self._slopes, ahead - self._x0]
        return self._linear(x) - self._target.alpha * self._sum(self._corrector, slopes)

    def _linear(self, x: Tensor) -> Tensor:
        keep = self._target.sigma / self._here.sigma
        return keep * x - self._target.alpha * math.expm1(-self._h) * self._x0

    def _sum(self, weights: Floats, slopes: Sequence[Tensor]) -> Tensor:
        total = torch.zeros_like(self._x0)
        for weight, slope in zip(weights, slopes):
            total = total + float(weight) * slope
        return total


def _phis(hh: float, count: int) -> list[float]:
    """hh * phi_1(hh) .. hh * phi_count(hh), phi_k as in eq. 6."""
    values = [math.expm1(hh)]
    for k in range(1, count):
        values.append(values[-1] / hh - 1 / math.factorial(k))
    return values


def _fixed_weights(ratios: Floats, hh: float, is_bh2: bool) -> tuple[Floats, Floats]:
    """Weights with B(h) = hh (bh1) or expm1(hh) (bh2), times B(h)."""
    order = len(ratios)
    scale = math.expm1(hh) if is_bh2 else hh
    phis = _phis(hh, order + 1)
    matrix = np.array([ratios**power for power in range(order)])
    wanted = np.array([phis[k] * math.factorial(k) / scale for k in range(1, order + 1)])
    corrector = np.array([0.5]) if order == 1 else np.linalg.solve(matrix, wanted)
    if order == 2:
        predictor = np.array([0.5])
    else:
        predictor = np.linalg.solve(matrix[:-1, :-1], wanted[:-1])
    return predictor * scale, corrector * scale


def _vary_weights(ratios: Floats, hh: float, is_bh2: bool) -> tuple[Floats, Floats]:
    """Weights that vary with the step sizes (UniPC_v, appendix C)."""
    order = len(ratios)
    phis = np.array(_phis(hh, order + 1)[1:])
    columns = [ratios**power / math.factorial(power + 1) for power in range(order)]
    matrix = np.stack(columns, axis=1)
    inverse = np.linalg.inv(matrix)
    predictor = np.linalg.inv(matrix[:-1, :-1]).T @ phis[:-1]
    # The authors' program leaves the last row out for the earlier slopes, and gives the newest
    # one the last phi with the row before.
    earlier = inverse[:-1, :-1].T @ phis[:-1]
    newest = phis[-1] * inverse[max(order - 2, 0), -1]
    return predictor, np.array([*earlier, newest])
