"""What a query strategy of one's own needs: the pool it is given, and the choices it returns.

from partly.strategies import Choice, Pool

def mine(pool: Pool, wanted: int, chance: numpy.random.Generator) -> list[Choice]: ...
"""

from learner.errors import StrategyUnusable
from learner.query.pool import Candidate, Choice, Pool

__all__ = ["Candidate", "Choice", "Pool", "StrategyUnusable"]
