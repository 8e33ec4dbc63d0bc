"""Keep the jobs: claimed under an epoch, changed only by the holder of the claim.

Each change is told to the job's syncs. Whoever changes a job holds the lock of its connection
(``Database.write``).
"""
