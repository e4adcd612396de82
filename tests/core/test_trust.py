"""What a pull request may say in promptreg.yaml, key by key, and what of its files could run."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg import documents
from promptreg.core.catalogue import Limits, ModelSpec, Price
from promptreg.core.settings import Settings
from promptreg.core.trust import MODEL, SETTINGS, executable_files, trusted_settings

BASE = """\
registry: acme/prompts
plugins: [plugins/house.py, plugins/pack]
models:
  big: {provider: openai, model: gpt-4o-2024-08-06, price: {input: 2.5, output: 10}, api_key_env: BIG_KEY, organization: 1.10}
  vllm: {provider: openai, model: qwen3-32b, base_url: "http://127.0.0.1:8000/v1", headers: {X-Key: {env: VLLM_KEY}}}
  small: {provider: local, model: smollm2-135m-instruct, serve: {kv_cache: q4_0, adapters: [adapters/tone.gguf]}}
  file: {provider: local, model: weights/own.gguf}
  any: {provider: llm, model: gpt-4o, api_key_env: LLM_KEY}
  march: {provider: recorded, model: gpt-4-0314, recording: recordings/march.jsonl}
  "gpt-4.1": {provider: anthropic, model: claude, max_age: 30d, limits: {retries: 2}}
defaults: {model: small}
labels: [staging, {name: production, signers: [ada@example.org]}]
uncovered: block
runs: {branch: promptreg/runs, retention: full}
budget: {usd: 5, calls: 100}
sources: {acme: {url: "https://example.org/acme.git", signers: [keys/acme.pub]}}
"""


def settings(text: str = BASE) -> Settings:
    return documents.settings(text.encode(), "promptreg.yaml")


def changed(old: str, new: str) -> Settings:
    assert old in BASE
    return settings(BASE.replace(old, new))


def test_every_key_has_been_decided() -> None:
    """A new key of the settings or the catalogue is base's until somebody decides; this test asks for it."""
    assert SETTINGS.keys() == {item.name for item in fields(Settings)}
    assert MODEL.keys() == {item.name for item in fields(ModelSpec)}


def test_a_pull_request_that_leaves_the_settings_alone() -> None:
    trusted, distrusts = trusted_settings(
        settings(), settings("# a comment\n" + BASE.replace("{usd: 5, calls: 100}", "{calls: 100, usd: 5.0}"))
    )
    assert distrusts == ()
    assert trusted == settings()


# what head writes, and what is then trusted of it
DATA = [
    ("registry: acme/prompts", "registry: acme/other"),
    ("model: gpt-4o-2024-08-06", "model: gpt-5"),
    ("model: qwen3-32b", "model: org/qwen4"),
    ("model: smollm2-135m-instruct", "model: gemma3-270m"),
    ("model: gpt-4-0314", "model: gpt-4-0613"),
    ("price: {input: 2.5, output: 10}", "price: {input: 3, output: 1}, context: 8192, retires: 2027-01-01"),
    ("price: {input: 2.5, output: 10}, ", ""),
    ("{model: small}", "{model: big}"),
    ("defaults: {model: small}\n", ""),
    ("[staging, {name: production, signers: [ada@example.org]}]", "[{name: production, signers: [ada@example.org]}, staging]"),
    ("serve: {kv_cache: q4_0, adapters: [adapters/tone.gguf]}", "serve: {adapters: [adapters/tone.gguf], kv_cache: q4_0}"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), DATA, ids=[new or old for old, new in DATA])
def test_data_are_heads(old: str, new: str) -> None:
    head = changed(old, new)
    trusted, distrusts = trusted_settings(settings(), head)
    assert distrusts == ()
    assert replace(trusted, labels=()) == replace(head, labels=())


# what head writes, and the key that is told of it; base's settings hold then
CODE = [
    ("plugins: [plugins/house.py, plugins/pack]", "plugins: [plugins/house.py, plugins/evil.py]", "plugins"),
    ("plugins: [plugins/house.py, plugins/pack]\n", "", "plugins"),
    ("labels: [staging, ", "labels: [staging, live, ", "labels"),
    ("ada@example.org", "eve@example.org", "labels"),
    ("[staging, {name: production, signers: [ada@example.org]}]", "[staging, production]", "labels"),
    ("uncovered: block", "uncovered: warn", "uncovered"),
    ("branch: promptreg/runs", "branch: mine", "runs"),
    ("retention: full", "retention: digest", "runs"),
    ("usd: 5", "usd: 5000", "budget"),
    ("budget: {usd: 5, calls: 100}\n", "", "budget"),
    ("example.org/acme.git", "example.org/evil.git", "sources"),
    (", signers: [keys/acme.pub]", "", "sources"),
    ("provider: openai, model: gpt", "provider: evil, model: gpt", "models.big.provider"),
    ("provider: llm", "provider: openai", "models.any.provider"),
    ("api_key_env: BIG_KEY", "api_key_env: LLM_KEY", "models.big.api_key_env"),
    ("api_key_env: BIG_KEY, ", "", "models.big.api_key_env"),
    ("api_key_env: BIG_KEY", "api_key_env: BIG_KEY, base_url: 'https://evil.example/v1'", "models.big.base_url"),
    ("organization: 1.10", "organization: 1.1", "models.big.organization"),
    ("organization: 1.10", "organization: '1.10'", "models.big.organization"),
    ("127.0.0.1:8000", "evil.example", "models.vllm.base_url"),
    ("{env: VLLM_KEY}", "{env: BIG_KEY}", "models.vllm.headers"),
    ("kv_cache: q4_0", "kv_cache: q8_0", "models.small.serve"),
    ("adapters/tone.gguf", "adapters/evil.gguf", "models.small.serve"),
    ("model: smollm2-135m-instruct", "model: weights/evil.gguf", "models.small.model"),
    ("model: smollm2-135m-instruct", "model: evil.GGUF", "models.small.model"),
    ("model: smollm2-135m-instruct", "model: '~root'", "models.small.model"),
    ("model: smollm2-135m-instruct", "model: sub/evil", "models.small.model"),
    ("model: weights/own.gguf", "model: weights/other.gguf", "models.file.model"),
    ("model: weights/own.gguf", "model: smollm2-135m-instruct", "models.file.model"),
    ("model: qwen3-32b", "model: https://evil.example/model", "models.vllm.model"),
    ("model: gpt-4o, ", "model: elsewhere, ", "models.any.model"),
    ("recordings/march.jsonl", "recordings/mine.jsonl", "models.march.recording"),
    ("recording: recordings/march.jsonl", "recording: recordings/march.jsonl, match: [params]", "models.march.match"),
    ("provider: anthropic", "provider: openai", 'models["gpt-4.1"].provider'),
    ("provider: anthropic", "provider: anthropic, 'o.dd': 1", 'models["gpt-4.1"]["o.dd"]'),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "key"), CODE, ids=[f"{key} {new[:20]}" for _, new, key in CODE])
def test_code_and_keys_are_bases_and_a_difference_is_told(old: str, new: str, key: str) -> None:
    head = changed(old, new)
    trusted, distrusts = trusted_settings(settings(), head)
    assert trusted == settings()
    (told,) = distrusts
    assert told.key == key
    assert told.message.startswith("the pull request changes ")
    assert told.hint
    assert told.where is not None
    assert told.where.path == "promptreg.yaml"
    assert told.alias == ("" if "." not in key else next(alias for alias in settings().models if alias in key))


def test_every_key_of_the_settings_that_is_bases_was_tried() -> None:
    tried = {key for *_, key in CODE}
    assert {"labels" if name == "label_signers" else name for name, whose in SETTINGS.items() if whose == "base"} <= tried
    assert {name for name, whose in MODEL.items() if whose == "base"} - {"options"} <= {key.rpartition(".")[2] for key in tried}


def test_a_place_is_the_line_of_head() -> None:
    _, (told,) = trusted_settings(settings(), changed("127.0.0.1:8000", "evil.example"))
    assert (told.where.line, told.where.key) == (5, "models.vllm.base_url")  # type: ignore[union-attr]


QUIET = [
    ("provider: anthropic, ", "provider: anthropic, price: {input: 1, output: 1}, "),
    ("max_age: 30d", "max_age: 1h"),
    ("max_age: 30d, ", ""),
    ("retries: 2", "retries: 1000000"),
    ("limits: {retries: 2}", "limits: {concurrency: 10000, timeout_s: 0.001}"),
]


@pytest.mark.parametrize(("old", "new"), QUIET, ids=[new for _, new in QUIET])
def test_how_hard_and_how_often_a_model_is_asked_is_bases_without_a_word(old: str, new: str) -> None:
    trusted, distrusts = trusted_settings(settings(), changed(old, new))
    assert distrusts == ()
    assert (trusted.models["gpt-4.1"].max_age_days, trusted.models["gpt-4.1"].limits) == (30.0, Limits(retries=2))


def test_data_of_a_model_whose_code_differs_are_not_mixed_with_bases_code() -> None:
    head = changed("provider: openai, model: gpt-4o-2024-08-06", "provider: anthropic, model: claude")
    assert trusted_settings(settings(), head)[0].models["big"] == settings().models["big"]


def test_every_difference_of_a_model_is_told() -> None:
    head = changed('base_url: "http://127.0.0.1:8000/v1", headers: {X-Key: {env: VLLM_KEY}}', "api_key_env: BIG_KEY, strict: false")
    told = [each.key for each in trusted_settings(settings(), head)[1]]
    assert told == [f"models.vllm.{name}" for name in ("api_key_env", "base_url", "headers", "strict")]


NEW = "models:\n  new: {%s}\n"


@pytest.mark.parametrize(
    "entry",
    [
        "provider: openai, model: gpt-4o-mini, api_key_env: BIG_KEY, organization: 1.10, price: {input: 1, output: 2}",
        "provider: local, model: gemma3-270m, serve: {kv_cache: q4_0, adapters: [adapters/tone.gguf]}",
        "provider: local, model: weights/own.gguf",
        "provider: anthropic, model: claude-next, limits: {retries: 99}",
    ],
)
def test_a_new_model_is_kept_if_base_calls_one_in_the_same_way(entry: str) -> None:
    head = changed("models:\n", NEW % entry)
    trusted, distrusts = trusted_settings(settings(), head)
    assert distrusts == ()
    new = trusted.models["new"]
    assert (new.alias, new.model, new.price) == ("new", head.models["new"].model, head.models["new"].price)
    assert new.limits == (Limits(retries=2) if new.provider == "anthropic" else Limits())


@pytest.mark.parametrize(
    "entry",
    [
        "provider: echo",
        "provider: openai, model: x",
        "provider: openai, model: x, api_key_env: BIG_KEY",
        "provider: openai, model: x, api_key_env: VLLM_KEY, organization: 1.10",
        "provider: openai, model: x, api_key_env: BIG_KEY, organization: 1.1",
        "provider: openai, model: x, base_url: 'https://evil.example', api_key_env: BIG_KEY, organization: 1.10",
        "provider: local, model: smollm2-135m-instruct, serve: {kv_cache: f16}",
        "provider: local, model: weights/other.gguf",
        "provider: llm, model: elsewhere, api_key_env: LLM_KEY",
        "provider: recorded, model: gpt-4-0314, recording: recordings/mine.jsonl",
    ],
)
def test_another_new_model_is_left_out(entry: str) -> None:
    trusted, (told,) = trusted_settings(settings(), changed("models:\n", NEW % entry))
    assert trusted.models.keys() == settings().models.keys()
    assert (told.key, told.alias, told.where.line) == ("models.new", "new", 4)  # type: ignore[union-attr]
    assert "'new' is new" in told.message


def test_a_model_that_is_dropped_is_gone() -> None:
    head = settings(BASE.replace("  any: {provider: llm, model: gpt-4o, api_key_env: LLM_KEY}\n", ""))
    trusted, distrusts = trusted_settings(settings(), head)
    assert "any" not in trusted.models
    assert distrusts == ()


def test_a_key_name_of_head_needs_the_allow_list() -> None:
    head = changed("api_key_env: BIG_KEY", "api_key_env: NEW_KEY")
    trusted, (told,) = trusted_settings(settings(), head, allowed=("OTHER_KEY",))
    assert trusted.models["big"].options["api_key_env"] == "BIG_KEY"
    assert "PROMPTREG_KEY_NAMES" in told.hint
    trusted, distrusts = trusted_settings(settings(), head, allowed={"NEW_KEY"})
    assert distrusts == ()
    assert trusted.models["big"].options["api_key_env"] == "NEW_KEY"


def test_the_allow_list_opens_nothing_but_the_key() -> None:
    head = changed("api_key_env: BIG_KEY", "api_key_env: NEW_KEY, base_url: 'https://evil.example/v1'")
    trusted, (told,) = trusted_settings(settings(), head, allowed={"NEW_KEY"})
    assert (told.key, trusted.models["big"]) == ("models.big.base_url", settings().models["big"])
    headers = changed("{env: VLLM_KEY}", "{env: NEW_KEY}")
    assert [each.key for each in trusted_settings(settings(), headers, allowed={"NEW_KEY", ""})[1]] == ["models.vllm.headers"]
    dropped = changed("api_key_env: BIG_KEY, ", "")
    assert [each.key for each in trusted_settings(settings(), dropped, allowed={"NEW_KEY"})[1]] == ["models.big.api_key_env"]
    new = changed("models:\n", NEW % "provider: openai, model: x, api_key_env: NEW_KEY, organization: 1.10")
    assert trusted_settings(settings(), new, allowed={"NEW_KEY"})[0].models["new"].options["api_key_env"] == "NEW_KEY"


def test_true_is_not_one_and_what_json_cannot_say_must_look_the_same() -> None:
    def with_strict(value: object) -> Settings:
        return Settings(models={"m": ModelSpec(alias="m", provider="openai", model="x", options={"strict": value})})  # type: ignore[dict-item]

    for one, other, same in ((True, 1, False), (1, 1.0, True), (float("nan"), float("nan"), True), (float("inf"), 1, False)):
        assert (trusted_settings(with_strict(one), with_strict(other))[1] == ()) is same


OPTIONS = st.dictionaries(
    st.sampled_from(["base_url", "api_key_env", "serve", "x.y"]), st.sampled_from(["a", "b", 1, True]), max_size=3
)
SPECS = st.builds(
    ModelSpec,
    alias=st.just(""),
    provider=st.sampled_from(["openai", "local", "llm", "recorded"]),
    model=st.sampled_from(["one", "two", "./path", "a.gguf"]),
    options=OPTIONS,
    price=st.none() | st.just(Price(input=1, output=1)),
    max_age_days=st.none() | st.just(1.0),
)
CATALOGUES = st.dictionaries(st.sampled_from("abc"), SPECS, max_size=3).map(
    lambda specs: Settings(models={alias: replace(spec, alias=alias) for alias, spec in specs.items()})
)


@given(CATALOGUES, CATALOGUES)
def test_whatever_head_says_only_bases_ways_of_calling_are_left(base: Settings, head: Settings) -> None:
    trusted, distrusts = trusted_settings(base, head)
    ways = [(spec.provider, dict(spec.options)) for spec in base.models.values()]
    for alias, spec in trusted.models.items():
        assert (spec.provider, dict(spec.options)) in ways
        if alias in base.models:
            assert (spec.provider, spec.options) == (base.models[alias].provider, base.models[alias].options)
    assert {each.alias for each in distrusts} >= head.models.keys() - trusted.models.keys()
    assert trusted_settings(base, trusted) == (trusted, ())
    assert trusted_settings(base, base) == (base, ())


# --- files that run or answer, although no line of promptreg.yaml changed -----------------------------------------------------


@pytest.mark.parametrize(
    ("path", "key", "alias"),
    [
        ("plugins/house.py", "plugins", ""),
        ("plugins/pack/deep/rules.py", "plugins", ""),
        ("plugins/pack/__pycache__/rules.cpython-311.pyc", "plugins", ""),
        ("plugins", "plugins", ""),
        ("adapters/tone.gguf", "models.small", "small"),
        ("weights/own.gguf", "models.file", "file"),
        ("recordings/march.jsonl", "models.march", "march"),
        ("recordings", "models.march", "march"),
        ("keys/acme.pub", "sources", ""),
    ],
)
def test_a_file_that_bases_settings_name(path: str, key: str, alias: str) -> None:
    told = executable_files(settings(), settings(), frozenset({path, "prompts/a.yaml", "suites/rows.jsonl"}))
    assert {(each.key, each.alias) for each in told} == {(key, alias)}
    assert all(path in each.message and each.where is not None for each in told)


@pytest.mark.parametrize(
    "path", ["prompts/a.yaml", "plugins/other.py", "plugins/house.pyc", "recordings/march.jsonl.bak", "README.md", "promptreg.yaml"]
)
def test_other_files_are_data(path: str) -> None:
    assert executable_files(settings(), settings(), {path}) == ()


def test_what_head_does_not_name_any_more_is_told_by_its_line() -> None:
    head = settings(BASE.replace("plugins/house.py, ", "").replace("  march:", "  april:"))
    assert executable_files(settings(), head, {"plugins/house.py", "recordings/march.jsonl"}) == ()
    assert "plugins" in {each.key for each in trusted_settings(settings(), head)[1]}


def test_a_name_that_is_also_a_folder_of_prompts_is_no_file() -> None:
    base = settings("models: {m: {provider: openai, model: prompts, project: suites, organization: .}}\n")
    assert executable_files(base, base, {"prompts/a.yaml", "suites/s.yaml"}) == ()
