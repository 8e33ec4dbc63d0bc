"""Keep the jobs: each is claimed under an epoch, and only the holder of the claim changes it.

The job's syncs are told of every change. To change a job, hold the lock of its connection
(``Database.write``).
"""
