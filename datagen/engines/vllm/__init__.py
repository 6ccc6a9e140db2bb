"""Engine ``vllm``: vLLM in processes of its own."""
