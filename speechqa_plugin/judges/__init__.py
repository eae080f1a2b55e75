"""Language models that grade answers: behind a server, or in this process.

They are the heavy half of `speechqa_plugin.rewards.judge_per_dimension`: texts in, whole grades
out, and None where there is no grade, each failure counted by its reason.
"""

from speechqa_plugin.judges.base import Failed, Failure, Reply, TextJudge, read_grade
from speechqa_plugin.judges.local import LocalJudge
from speechqa_plugin.judges.server import ServerJudge

__all__ = ["Failed", "Failure", "LocalJudge", "Reply", "ServerJudge", "TextJudge", "read_grade"]
