"""Is a finished run what it says? Every shard against its ledgers, the manifest, its own upstream and the others.

Nothing is only believed: labels are worked out again from the manifest and the pictures, composites are made again,
and, where that is asked for, some samples are rendered and stylised again.
"""

from p3d_gen.verify.agreement import Agreement, measure_agreement
from p3d_gen.verify.whole import Rerender, Verification, amount, verify_run, write_verification

__all__ = ["Agreement", "Rerender", "Verification", "amount", "measure_agreement", "verify_run", "write_verification"]
