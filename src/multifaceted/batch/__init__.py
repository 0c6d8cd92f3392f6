"""The same requests in waves of batches. Its one door is `answer`, which gives live answers too."""

from multifaceted.batch.answers import answer
from multifaceted.batch.customer import Customer, Group

__all__ = ["Customer", "Group", "answer"]
