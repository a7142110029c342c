"""Certificates: promises about a run's proposals. They are never changed; the newest of a run and kind holds."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.records.certificates import CertificateKind, CertificateRecord, NewCertificate
from db.tables import Certificate


class CertificateQueries:
    """Certificates of the registry."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, new: NewCertificate) -> CertificateRecord:
        """Store a certificate, or that nothing could be certified."""
        row = Certificate(
            run_id=new.run_id,
            kind=new.kind,
            gate=new.gate,
            tau=new.tau,
            precision=new.precision,
            confidence=new.confidence,
            accepted=new.accepted,
            errors=new.errors,
            lower_bound=new.lower_bound,
            needed=new.needed,
            image_ids=list(new.image_ids),
        )
        self._session.add(row)
        self._session.flush()
        return _record(row)

    def of_run(self, run_id: int) -> dict[CertificateKind, CertificateRecord]:
        """Return the certificates of a run that hold, by what they are about."""
        return {item.kind: item for item in self.history(run_id)}

    def history(self, run_id: int) -> list[CertificateRecord]:
        """Return everything that was certified about a run, or could not be, oldest first."""
        rows = self._session.scalars(select(Certificate).where(Certificate.run_id == run_id).order_by(Certificate.id))
        return [_record(row) for row in rows]

    def by_id(self, ids: Iterable[int]) -> dict[int, CertificateRecord]:
        """Return these certificates by id."""
        rows = self._session.scalars(select(Certificate).where(Certificate.id.in_(sorted(set(ids)))))
        return {row.id: _record(row) for row in rows}


def _record(row: Certificate) -> CertificateRecord:
    return CertificateRecord(
        id=row.id,
        run_id=row.run_id,
        kind=CertificateKind(row.kind),
        gate=row.gate,
        tau=row.tau,
        precision=row.precision,
        confidence=row.confidence,
        accepted=row.accepted,
        errors=row.errors,
        lower_bound=row.lower_bound,
        needed=row.needed,
        image_ids=tuple(row.image_ids),
        created_at=row.created_at,
    )
