"""Bulk reading of Oracle tables. It follows the documentation and was NEVER RUN: there was no Oracle to try it on.

One statement sees one moment (statement-level read consistency), so no flashback is asked for. The driver is optional
(extra ``oracle``).
"""

from cdc.sources.bulk_oracle.source import OracleBulk

__all__ = ["OracleBulk"]
