"""The rules that every family of models is held to, whoever wrote it: each a function of a `Candidate` that
raises Broken, with a docstring that says the rule to the author of a family.

Used by `genbench check-family`, by the tests of genbench and by those of plug-ins. It may import `data`,
`errors`, `generator`, `runtime`, `tracking` and `training`; it knows no family and no configuration.
"""

from genbench.contract.candidate import Broken, Candidate, NotApplicable
from genbench.contract.rules import RULES, Outcome, Rule, check, sentence, title

__all__ = ["RULES", "Broken", "Candidate", "NotApplicable", "Outcome", "Rule", "check", "sentence", "title"]
