"""Group relative policy optimisation of an audio LLM: tensors in, tensors out.

Nothing here knows of speech, answers, prompts or rewards. The order of an update:

    rollout → (rewards, elsewhere) → advantages → scoring → loss

The axes are named by suffixes: B prompts, G completions of a prompt, N = B·G completions, prompt
after prompt, T tokens of a completion, K rewards.
"""
