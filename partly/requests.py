"""What a round with a query is asked for: `project.round(query=QueryRequest("typical", budget=50))`."""

from learner.inference.propose import ProposeRequest
from learner.query.batch import Shares
from learner.query.query_images import QueryRequest

__all__ = ["ProposeRequest", "QueryRequest", "Shares"]
