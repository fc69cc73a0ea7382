"""A points file of a server, of made-up times that a device could reach."""

POINTS = "engine,version,model,accelerator,tp,prompt,output,concurrency,ttft_mean_ms,tpot_mean_ms\n" + "".join(
    f"vllm,0.12.0,qwen3-32b,h100-sxm,{tp},1024,512,{users},{100 + 5 * users},{44 / tp + 0.2 * users}\n"
    for tp in (2, 4)
    for users in (4, 16, 64)
)
