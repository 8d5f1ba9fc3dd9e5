"""A FastAPI backend that stores notes and transcriptions in PostgreSQL.

It receives Scribegate's deliveries in the format structured and verifies
webhook-signature over the raw body. The event's id and the work of the event are
written in one transaction: after a crash both are in the database or neither is, so
no event is lost and none is handled twice.

    apt-get install python3-fastapi uvicorn python3-sqlalchemy python3-psycopg2
    DATABASE_URL=postgresql://clinic@127.0.0.1/clinic \
    SCRIBEGATE_SIGNING_SECRET=whsec_... PORT=9000 /usr/bin/python3 app.py
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import socket
import sys
import time

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from sqlalchemy import JSON, Column, DateTime, MetaData, Table, Text, create_engine, exc, func, select
from sqlalchemy.dialects.postgresql import insert

TOLERANCE = 5 * 60  # seconds
MAX_BODY = 32 * 1024 * 1024  # bytes
RETRY_AFTER = 5  # seconds that the gateway waits while the database is away


def key_from(secret):
    """Return the key in a signing secret, or end the program.

    Without a key the backend could not reject anybody, so it does not start.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith("whsec_") or not key:
        sys.exit("set SCRIBEGATE_SIGNING_SECRET to the gateway's signing_secret (whsec_...)")
    return key


KEY = key_from(os.environ.get("SCRIBEGATE_SIGNING_SECRET", ""))
DATABASE_URL = os.environ.get("DATABASE_URL", "")
if not DATABASE_URL:
    sys.exit("set DATABASE_URL to the database (postgresql://user:password@host/name)")

engine = create_engine(
    # SQLAlchemy does not accept the short form of the scheme.
    re.sub("^postgres://", "postgresql://", DATABASE_URL),
    hide_parameters=True,  # otherwise an error's text contains the note
    pool_size=10,
    max_overflow=0,
    pool_timeout=10,
    pool_pre_ping=True,  # replaces connections that ended with the server
    # The gateway waits 30 s for an answer, unless `timeout` is set.
    connect_args={"connect_timeout": 5, "options": "-c statement_timeout=20s"},
)

# The type JSON keeps the text as it is. JSONB and TEXT reject a note with \u0000 in it.
document = JSON(none_as_null=True)
tables = MetaData()
events = Table(
    "events",
    tables,
    Column("id", Text, primary_key=True),  # webhook-id
    Column("type", Text, nullable=False),
    Column("stored_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("unhandled", document),  # the data of an event whose type is not known here
)
notes = Table(
    "notes",
    tables,
    Column("note_id", Text, primary_key=True),
    Column("status", Text, nullable=False),  # completed or failed
    Column("note", document),
    Column("event_time", DateTime(timezone=True), nullable=False),
    Column("event_id", Text, nullable=False),
)
transcriptions = Table(
    "transcriptions",
    tables,
    Column("transcription_id", Text, primary_key=True),
    Column("status", Text, nullable=False),  # completed or failed
    Column("transcription", document),  # with the text, if the gateway has an api_key
    Column("unavailable", Text),  # why the text is missing: look at these rows, since the gateway deletes the event
    Column("metadata", document),  # the query of the webhook's URL
    Column("event_time", DateTime(timezone=True), nullable=False),
    Column("event_id", Text, nullable=False),
)


class Unstorable(Exception):
    """The event can never be stored, however often it is delivered."""


def store(event):
    """Store an event and its work in one transaction, and return whether it is new.

    Of two deliveries of one event at the same time, the second waits at the insert
    until the transaction of the first has ended.
    """
    with engine.begin() as tx:
        once = insert(events).values(id=event["id"], type=event["type"]).on_conflict_do_nothing()
        new = tx.execute(once).rowcount == 1
        if new:
            handle(tx, event)
    return new  # the transaction is committed


def handle(tx, event):
    """Do the work of an event, in the transaction that has its id.

    Do not call other services here: a call cannot be rolled back. Insert a row into
    a table of jobs instead, and let a worker call them.
    """
    data = event["data"]
    if not isinstance(data.get("id"), str):
        raise Unstorable
    match event["type"]:
        case "com.soapnoteapi.note.generated" | "com.soapnoteapi.note.failed":
            save(tx, notes, event, {"note_id": data["id"]}, ["note"])
        case "com.soniox.transcription.completed" | "com.soniox.transcription.error":
            save(tx, transcriptions, event, {"transcription_id": data["id"]}, ["transcription", "metadata"])
        case "com.soapnoteapi.test":  # only with `events *`, or `events test`
            pass
        case _:
            # A provider can add types. Keep the data, and accept the event: an event
            # that is rejected would become dead at the gateway.
            tx.execute(events.update().where(events.c.id == event["id"]).values(unhandled=data))


def save(tx, table, event, key, documents):
    """Insert or update a row. An older event does not replace a newer one.

    The gateway does not promise an order: a retry arrives after newer events.
    """
    data = event["data"]
    # PostgreSQL reads the time as it is.
    row = key | {"status": data["status"], "event_time": event["time"], "event_id": event["id"]}
    row |= {name: data[name] for name in documents if name in data}
    if "transcription" in row:
        row["unavailable"] = row["transcription"].get("unavailable")
    upsert = insert(table).values(row)
    newer = table.c.event_time <= upsert.excluded.event_time
    tx.execute(upsert.on_conflict_do_update(index_elements=list(key), set_=row, where=newer))


def verify(headers, body):
    """Return why a delivery is rejected, or None. Follows Standard Webhooks 1.0."""
    event_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    signatures = headers.get("webhook-signature", "")
    if not event_id or not timestamp or not signatures:
        return "webhook-id, webhook-timestamp or webhook-signature is missing"
    if not re.fullmatch("[0-9]{1,11}", timestamp) or abs(time.time() - int(timestamp)) > TOLERANCE:
        return "webhook-timestamp is not within five minutes of now"
    signed = f"{event_id}.{timestamp}.".encode() + body
    want = b"v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest())
    # One valid signature is enough: while the secret is rotated, the gateway signs
    # with the old and the new one.
    if not any(hmac.compare_digest(got.encode(), want) for got in signatures.split(" ")):
        return "no webhook-signature matches"
    return None


def parse(headers, body):
    """Return the event of a verified delivery, or None."""
    if not headers.get("content-type", "").startswith("application/cloudevents+json"):
        return None
    try:
        event = json.loads(body)
        valid = event["id"] == headers["webhook-id"] and isinstance(event["type"], str) and isinstance(event["data"], dict)
    except (ValueError, LookupError, TypeError):
        return None
    return event if valid else None


def print_line(line):
    """Print one line and flush. It never contains an event's data."""
    print(line, flush=True)


app = FastAPI(openapi_url=None)


@app.get("/healthz")
def healthz():
    """Answer 200 if the database answers, otherwise 503."""
    try:
        with engine.connect() as connection:
            connection.execute(select(1))
    except exc.SQLAlchemyError:
        return Response("the database does not answer\n", 503)
    return Response("ok\n")


async def raw_body(request: Request):
    """Return the bytes as they were sent, which the signature covers."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413)
    return bytes(body)


# FastAPI runs a route without `async` in a thread, so that the database delays no
# other request.
@app.post("/events")
def receive(request: Request, body: bytes = Depends(raw_body)):
    reason = verify(request.headers, body)
    if reason:
        print_line(f"refused 401 {reason}")
        return Response(status_code=401)
    event = parse(request.headers, body)
    if event is None:
        print_line("refused 400 the body is not a structured CloudEvent")
        return Response(status_code=400)

    what = f"{event['type']} {event['id']} attempt {request.headers.get('scribegate-attempt', 0)}"
    try:
        new = store(event)
    except Exception as err:  # its text can contain the note: never log it
        status = status_of(err)
        print_line(f"failed {status} {state_of(err) or type(err).__name__} {what}")
        return Response(status_code=status, headers={"Retry-After": str(RETRY_AFTER)} if status == 429 else None)
    print_line(f"{'received' if new else 'duplicate'} {what}")
    return Response(status_code=204)  # only after the commit: the gateway then deletes the event


def status_of(err):
    """Return the status for an error: it decides what the gateway does with the event."""
    if isinstance(err, Unstorable):
        return 410  # dead at once; after a fix, `caddy scribegate replay` delivers it
    if re.match("2[23]", state_of(err)):
        return 422  # data that the tables reject: retried, since a deploy can fix it
    away = isinstance(err, (exc.OperationalError, exc.InterfaceError)) and not state_of(err)
    if away or isinstance(err, exc.TimeoutError) or re.match("08|53|57P", state_of(err)):
        # The database is away or full, or all connections to it are in use. 429 uses up
        # no attempt, so no event dies of it, and the gateway pauses until Retry-After.
        # A 503 would use up attempts.
        return 429
    return 500  # retried; unlike a 4xx, five in a row pause the upstream


def state_of(err):
    """Return the SQLSTATE of a database's error, or an empty string."""
    return getattr(getattr(err, "orig", None), "pgcode", None) or ""


if __name__ == "__main__":
    try:
        tables.create_all(engine)  # in production, use your tool for migrations
    except exc.OperationalError as err:
        sys.exit(f"cannot use DATABASE_URL: {err.orig}")
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "9000"))))
    print_line(f"listening on http://127.0.0.1:{listener.getsockname()[1]}")
    # The access log is off, since it prints query strings. The gateway retries a
    # delivery that a stop interrupts.
    uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listener])
