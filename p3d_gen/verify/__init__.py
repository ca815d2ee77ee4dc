"""Verification of a finished run: every shard against its ledgers, the manifest, its own upstream and the others.

Nothing is simply believed. Labels are worked out again from the manifest and the pictures, and composites are made
again. On request some samples are rendered and stylized again.
"""

from p3d_gen.verify.agreement import Agreement, measure_agreement
from p3d_gen.verify.whole import Rerender, Verification, amount, verify_run, write_verification

__all__ = ["Agreement", "Rerender", "Verification", "amount", "measure_agreement", "verify_run", "write_verification"]
