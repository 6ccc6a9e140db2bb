"""Settings of the language model, and of the machines that run it."""

from typing import Any, Final, Literal

from pydantic import Field, field_validator

from datagen.config.section import EMBEDDED, Section, reference
from datagen.prompts.dialect import DIALECTS, Dialect, PromptStyle

ENGINE_KINDS: Final = ("transformers", "vllm", "openai")
"""Engines that are built in."""


class EngineSettings(Section):
    """The language model, and how to reach it."""

    kind: str = Field(
        default="transformers",
        description='"transformers" or "vllm" in this process; "openai": any compatible server; '
        '"module:name": one of your own',
    )
    model: str = Field(
        default=EMBEDDED, description='Model folder, Hub or server name; "embedded": shipped one'
    )
    prompts: PromptStyle = Field(
        default="native",
        description='How the model is asked: "native" markup, or "instruct" chats in plain words',
    )
    device: str = Field(
        default="auto", description='transformers: "cpu", "cuda", …; "auto": a GPU if there is one'
    )
    dtype: str = Field(default="auto", description='"float32", "bfloat16"; "auto": by device')
    batch_size: int = Field(
        default=256, ge=1, description="transformers: samples decoded side by side"
    )
    concurrency: int = Field(
        default=2048, ge=1, description="vllm, openai: most requests in flight at once"
    )
    max_context: int | None = Field(
        default=None, ge=1, description="vllm: longest context, tokens; unset: the model's own"
    )
    tensor_parallel: int = Field(default=1, ge=1, description="vllm: GPUs that share each layer")
    data_parallel: int = Field(default=1, ge=1, description="vllm: copies of the model")
    quantization: str | None = Field(
        default=None, description='vllm: "fp8", "awq", …; unset: what the checkpoint says'
    )
    memory_share: float = Field(
        default=0.9, gt=0, le=1, description="vllm: share of a GPU's memory to use"
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="vllm: any further argument by its name; your own engine: what it reads",
    )
    url: str = Field(
        default="http://127.0.0.1:8000/v1", description="openai: base address of the server"
    )
    endpoint: Literal["auto", "completions", "chat"] = Field(
        default="auto", description='openai: "completions" continues exactly; "auto": by the prompt'
    )
    key_variable: str = Field(
        default="OPENAI_API_KEY", description="openai: environment variable that holds the key"
    )
    timeout_s: float = Field(default=600.0, gt=0, description="openai: longest wait for one answer")
    max_retries: int = Field(
        default=8, ge=0, description="openai: attempts after the first, if a request fails"
    )
    price_prompt: float = Field(default=0.0, ge=0, description="Cost of a million prompt tokens")
    price_generated: float = Field(
        default=0.0, ge=0, description="Cost of a million generated tokens"
    )

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        try:
            return kind if kind in ENGINE_KINDS else reference(kind)
        except ValueError as error:
            raise ValueError(f"use one of {', '.join(ENGINE_KINDS)}, or {error}") from None

    @property
    def is_embedded(self) -> bool:
        """Whether the model is the one that ships; an engine of one's own need not have any."""
        return self.model == EMBEDDED and self.kind in ENGINE_KINDS

    @property
    def dialect(self) -> Dialect:
        """How every job is asked of the model."""
        return DIALECTS[self.prompts]


class RaySettings(Section):
    """More than one machine."""

    address: str | None = Field(
        default=None,
        description='"ray://host:10001", "auto", or "local" to start Ray here; unset: no Ray',
    )
    n_workers: int = Field(default=1, ge=1, description="Workers, each with an engine of its own")
    shard_size: int = Field(default=256, ge=1, description="Seeds per shard")
    cpus_per_worker: float = Field(default=1.0, ge=0, description="CPUs that a worker reserves")
    gpus_per_worker: float = Field(default=0.0, ge=0, description="GPUs that a worker reserves")
    max_restarts: int = Field(
        default=3, ge=0, description="How often a shard may be begun again after its worker died"
    )
