"""Small working plug-ins, written from templates as the beginning of one's own: `genbench new`.

The templates are files of this package. It may import `config`, `errors`, `records` and `runtime`; what it
writes is imported by nothing here.
"""

from genbench.scaffold.plugin import KINDS, Kind, Plan, plan, write

__all__ = ["KINDS", "Kind", "Plan", "plan", "write"]
