"""Run by the engine environment's Python, never imported: ``python convert_gguf.py FILE.gguf TARGET_DIRECTORY``.

vLLM no longer loads GGUF itself; transformers reads it, and what it saves (safetensors, bfloat16) vLLM loads.
"""

import sys
from pathlib import Path

import torch  # type: ignore[import-not-found]  # it is in the engine's environment, not in ours
from transformers import AutoModelForCausalLM, AutoTokenizer  # type: ignore[import-not-found]


def convert(gguf: Path, target: Path) -> None:
    """Write the model of one GGUF file with its tokenizer into an existing directory."""
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)  # nosec B615
    model = AutoModelForCausalLM.from_pretrained(**where)  # nosec B615
    # The weights are plain tensors by now, but the model still says that they are GGUF and would refuse to be saved.
    model.is_quantized, model.hf_quantizer = False, None
    for holder, name in ((model, "quantization_method"), (model.config, "quantization_config")):
        if hasattr(holder, name):
            delattr(holder, name)
    model.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
