"""How many parameters an architecture has, in closed form.

    P = V*H (+ V*H if the output is not tied) + H + L*(2*H + 2*H*n_h*d + 2*H*n_kv*d + 3*H*H') + biases + q/k norms

With n_kv*d = n_h*d = H this is the Llama formula 2VH + H + L(4H^2 + 3HH' + 2H).
"""

from pipelines.model.config import ArchitectureConfig


def embedding_parameters(architecture: ArchitectureConfig) -> int:
    """Token embedding plus, when untied, the output matrix."""
    return architecture.vocab_size * architecture.hidden * (1 if architecture.tied_embeddings else 2)


def block_matrix_parameters(architecture: ArchitectureConfig) -> int:
    """The matrices of one block: four attention projections and three of the feed-forward layer."""
    inner = architecture.heads * architecture.head_width
    shared = architecture.key_value_heads * architecture.head_width
    attention = 2 * architecture.hidden * (inner + shared)
    return attention + 3 * architecture.hidden * architecture.intermediate


def block_parameters(architecture: ArchitectureConfig) -> int:
    """Everything in one block: matrices, two norm gains, biases, gains on queries and keys."""
    inner = architecture.heads * architecture.head_width
    shared = architecture.key_value_heads * architecture.head_width
    count = block_matrix_parameters(architecture) + 2 * architecture.hidden
    if architecture.attention_bias != "none":
        count += inner + 2 * shared
    if architecture.attention_bias == "all":
        count += architecture.hidden
    if architecture.mlp_bias:
        count += 2 * architecture.intermediate + architecture.hidden
    if architecture.qk_norm:
        count += 2 * architecture.head_width
    return count


def non_embedding_parameters(architecture: ArchitectureConfig) -> int:
    """All parameters outside the embedding and output matrices: Kaplan's N."""
    return architecture.layers * block_parameters(architecture) + architecture.hidden


def parameter_count(architecture: ArchitectureConfig) -> int:
    """All parameters."""
    return embedding_parameters(architecture) + non_embedding_parameters(architecture)


def lora_parameters(rank: int, shapes: list[tuple[int, int]]) -> int:
    """Trainable parameters of LoRA: rank * (inputs + outputs) for each adapted matrix."""
    return sum(rank * (inputs + outputs) for inputs, outputs in shapes)
