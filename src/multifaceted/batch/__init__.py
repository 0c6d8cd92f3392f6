"""The same requests in waves of batches. `answer` is its one door; `do_jobs` goes through it, live or not."""

from multifaceted.batch.answers import answer, do_jobs
from multifaceted.batch.customer import Customer, Group

__all__ = ["Customer", "Group", "answer", "do_jobs"]
