"""Leases are kept by one clock: a machine whose own is wrong neither loses its run nor takes another's."""

import os
import socket
from datetime import UTC, datetime, timedelta

import psutil
import pytest

import db.queries.clock
import db.tables.base
from annotator.label_studio.sync_journal import is_at_work
from db.records.sync import SyncKind
from learner.training.lease import is_alive, take_run


class Shifted(datetime):
    """The clock of a machine that is off."""

    by = timedelta()

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + cls.by


@pytest.fixture
def machine(monkeypatch):
    """Set this machine's clock, as far as the registry asks it."""

    def shift(by):
        monkeypatch.setattr(Shifted, "by", by)

    def shifted_now():
        return Shifted.now(UTC)

    monkeypatch.setattr(db.tables.base, "now", shifted_now)
    monkeypatch.setattr(db.queries.clock, "now", shifted_now)
    yield shift


@pytest.fixture
def run(registry):
    with registry.begin() as tx:
        return tx.runs.start(preset="default", config={}, snapshot="s")


def is_server(registry):
    with registry.connect() as connection:
        return connection.dialect.name == "postgresql"


def set_times(registry, moment, **columns):
    zone = "+00:00" if is_server(registry) else ""
    with registry.connect(write=True) as connection:
        for table, column in columns.items():
            connection.exec_driver_sql(f"UPDATE {table} SET {column} = '{moment:%Y-%m-%d %H:%M:%S.%f}{zone}'")


def again(registry):
    with registry.read() as tx:
        return tx.runs.get(1)


@pytest.mark.parametrize("by", [timedelta(hours=-3), timedelta(0), timedelta(hours=3)])
def test_machines_whose_clocks_differ_agree_on_who_lives(registry, run, machine, by):
    if not is_server(registry) and by:
        pytest.skip("SQLite has no clock but the machine's")
    machine(by)
    with registry.begin() as tx:
        tx.runs.take(run.id, host="elsewhere", pid=1)
        push = tx.journal.open(connection_of(tx), SyncKind.PUSH, options={}, owner="elsewhere:1")
    machine(timedelta(0))
    assert is_alive(again(registry))
    with registry.read() as tx:
        assert is_at_work(tx.journal.all()[0])
    machine(-by)
    assert is_alive(again(registry))
    with registry.begin() as tx:
        tx.journal.touch(push)
        assert tx.runs.beat(run.id, host="elsewhere", pid=1)
    machine(timedelta(0))
    assert abs(again(registry).silent_s) < 60
    with registry.read() as tx:
        assert is_at_work(tx.journal.all()[0])


def connection_of(tx):
    return tx.connections.use(url="http://127.0.0.1:8080", project_id=1, media="local").id


def test_this_machines_process_is_known_by_its_age_whatever_the_servers_clock_says(registry, run):
    with registry.begin() as tx:
        take_run(tx, run)
    assert (again(registry).host, again(registry).pid) == (socket.gethostname(), os.getpid())
    assert is_alive(again(registry))
    # As if it had spoken before this process began: the number was another's then.
    older = psutil.Process().create_time() - 60
    spoken = datetime.fromtimestamp(older, UTC)
    set_times(registry, spoken, runs="heartbeat_at")
    assert not is_alive(again(registry))


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=4000)])
def test_a_beat_from_the_future_blocks_nobody_for_ever(registry, run, ahead):
    future = datetime.now(UTC) + ahead
    with registry.begin() as tx:
        tx.runs.take(run.id, host="elsewhere", pid=1)
        tx.journal.open(connection_of(tx), SyncKind.PUSH, options={}, owner="elsewhere:1")
    set_times(registry, future, runs="heartbeat_at", syncs="touched_at")
    assert not is_alive(again(registry))
    with registry.read() as tx:
        assert not is_at_work(tx.journal.all()[0])
    with registry.begin() as tx:
        assert take_run(tx, tx.runs.get(1)).pid == os.getpid()
