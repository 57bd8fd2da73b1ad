"""The worker's sealer as a process of its own, to be killed: ``python -m tests.proofs.sealer LEASE CHECKPOINTS``.

It seals each second as in a worker; both arguments are seconds, shorter than there so that many are seen.
"""

import sys


def main(lease: str, checkpoints: str) -> None:
    import django

    django.setup()
    from audit import sealer
    from controlplane.access import scope
    from workers import sealing

    scope.see_all()
    sealer.LEASE_SECONDS = int(lease)
    sealing.CHECKPOINT_SECONDS = float(checkpoints)
    sealing.Loop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
