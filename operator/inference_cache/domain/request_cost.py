"""What one request costs a replica's GPUs: prefill of the whole prompt, of the new tokens only, and decode of the answer."""

from dataclasses import dataclass

from .capacity_inputs import Machine, Workload
from .model_shape import ModelShape


@dataclass(frozen=True)
class RequestCost:
    """Seconds of all GPUs of one replica, None where something is not known.

    Attributes:
        prefill: Prefill of the whole prompt without any hit (C).
        prefill_fastest: The same at the upper end of the plausible MFU; equal to prefill where that was measured.
        prefill_slowest: The same at the lower end.
        suffix: Prefill of the new tokens when the context comes from a cache (s).
        decode: One request's share of the decode steps, at the batch that fits (d).
        answer: Time from first to last token at that batch.
        lone_answer: The same with no other request.
    """

    prefill: float | None = None
    prefill_fastest: float | None = None
    prefill_slowest: float | None = None
    suffix: float | None = None
    decode: float | None = None
    answer: float | None = None
    lone_answer: float | None = None


def prefill_flops(shape: ModelShape, tokens: float) -> float | None:
    """Return the operations of a causal prefill, 2 P S + 2 L d_a S^2; None where the shape does not say it."""
    parameters = shape.computing_parameters
    if parameters is None or shape.hybrid:
        return None
    return 2 * parameters * tokens + 2 * shape.layers * shape.attention_width * tokens**2


def suffix_flops(shape: ModelShape, new_tokens: float, context_tokens: float) -> float | None:
    """Return the operations of new tokens on a cached context, 2 P D + 4 L d_a D S; None as for the prefill."""
    parameters = shape.computing_parameters
    if parameters is None or shape.hybrid:
        return None
    return new_tokens * (2 * parameters + 4 * shape.layers * shape.attention_width * context_tokens)


def decode_step_seconds(machine: Machine, weight_bytes: float, session_bytes: float, batch: float) -> float | None:
    """Return the time of one decode step: all weights and the KV of every request in the batch pass through once."""
    if machine.gpu is None:
        return None
    return (weight_bytes + batch * session_bytes) / (machine.gpus * machine.gpu.hbm_bytes_per_second * machine.mbu)


def build_request_cost(
    shape: ModelShape,
    workload: Workload,
    machine: Machine,
    *,
    weight_bytes: float | None,
    session_bytes: float | None,
    batch: float | None,
) -> RequestCost:
    """Return the cost of a turn with the mean context.

    Args:
        shape: The model.
        workload: The turns.
        machine: The GPUs of one replica.
        weight_bytes: All weights; None where they are not known.
        session_bytes: KV of one conversation in HBM; None where it is not known.
        batch: Requests that decode together; None or 0 where it is not known or none fits.
    """
    prefill, fastest, slowest = _prefill_seconds(shape, workload.mean_context, machine)
    suffix = None
    whole, part = (
        prefill_flops(shape, workload.mean_context),
        suffix_flops(shape, workload.new_tokens, workload.mean_context),
    )
    if prefill is not None and whole is not None and part is not None:
        # In proportion to the prefill, so that a measured rate counts for both.
        suffix = prefill * part / whole
    step = lone = None
    if weight_bytes is not None and session_bytes is not None and batch:
        step = decode_step_seconds(machine, weight_bytes, session_bytes, batch)
        lone = decode_step_seconds(machine, weight_bytes, session_bytes, 1)
    tokens = workload.answer_tokens
    return RequestCost(
        prefill=prefill,
        prefill_fastest=fastest,
        prefill_slowest=slowest,
        suffix=suffix,
        decode=None if step is None or not batch else tokens * step / batch,
        answer=None if step is None else tokens * step,
        lone_answer=None if lone is None else tokens * lone,
    )


def _prefill_seconds(
    shape: ModelShape, tokens: float, machine: Machine
) -> tuple[float | None, float | None, float | None]:
    """Return the prefill time as planned, at the highest and at the lowest plausible MFU."""
    if machine.prefill_tokens_per_second:
        measured = tokens / machine.prefill_tokens_per_second
        return measured, measured, measured
    flops = prefill_flops(shape, tokens)
    if flops is None or machine.gpu is None:
        return None, None, None
    ideal = flops / (machine.gpus * machine.gpu.flops)
    return ideal / machine.mfu, ideal / machine.mfu_high, ideal / machine.mfu_low
