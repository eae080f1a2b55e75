"""``python -m speechqa_plugin.cli``, for ``torchrun -m``."""

from speechqa_plugin.cli import main

main()
