"""The registry: what is known about each image, in SQL. Imports nobody; callers receive frozen records.

Nothing is imported here, so that reading `db.records` or `db.errors` costs no SQLAlchemy.
"""
