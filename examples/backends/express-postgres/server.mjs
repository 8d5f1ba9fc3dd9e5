// An Express backend that stores notes and transcriptions in PostgreSQL.
//
// It receives Scribegate's deliveries in the format structured and verifies
// webhook-signature over the raw body. The event's id and the work of the event are
// written in one transaction: after a crash both are in the database or neither is,
// so no event is lost and none is handled twice.
//
//   npm install --no-package-lock
//   DATABASE_URL=postgresql://clinic@127.0.0.1/clinic \
//   SCRIBEGATE_SIGNING_SECRET=whsec_... PORT=9000 npm start
import { createHmac, timingSafeEqual } from 'node:crypto';
import express from 'express';
import pg from 'pg';

const TOLERANCE = 5 * 60; // seconds
const MAX_BODY = 32 * 1024 * 1024; // bytes
const RETRY_AFTER = 5; // seconds that the gateway waits while the database is away

// Without a key the backend could not reject anybody, so it does not start.
const secret = process.env.SCRIBEGATE_SIGNING_SECRET ?? '';
const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
if (!secret.startsWith('whsec_') || key.length === 0) {
  console.error("set SCRIBEGATE_SIGNING_SECRET to the gateway's signing_secret (whsec_...)");
  process.exit(1);
}
if (!process.env.DATABASE_URL) {
  console.error('set DATABASE_URL to the database (postgresql://user:password@host/name)');
  process.exit(1);
}

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: 10,
  connectionTimeoutMillis: 10_000,
  statement_timeout: 20_000, // the gateway waits 30 s for an answer, unless `timeout` is set
});
// Node.js ends the process at an error event without a listener.
pool.on('error', () => {}); // an idle connection ended: the pool replaces it
pool.on('connect', (client) => client.on('error', () => { client.lost = true; }));

// The type JSON keeps the text as it is. JSONB and TEXT reject a note with \u0000 in it.
const TABLES = `
  CREATE TABLE IF NOT EXISTS events (
    id text PRIMARY KEY, -- webhook-id
    type text NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    unhandled json -- the data of an event whose type is not known here
  );
  CREATE TABLE IF NOT EXISTS notes (
    note_id text PRIMARY KEY,
    status text NOT NULL, -- completed or failed
    note json,
    event_time timestamptz NOT NULL,
    event_id text NOT NULL
  );
  CREATE TABLE IF NOT EXISTS transcriptions (
    transcription_id text PRIMARY KEY,
    status text NOT NULL, -- completed or failed
    transcription json, -- with the text, if the gateway has an api_key
    unavailable text, -- why the text is missing: look at these rows, since the gateway deletes the event
    metadata json, -- the query of the webhook's URL
    event_time timestamptz NOT NULL,
    event_id text NOT NULL
  )`;

// An older event does not replace a newer one: the gateway does not promise an order,
// since a retry arrives after newer events.
const SAVE_NOTE = `
  INSERT INTO notes AS old (note_id, status, note, event_time, event_id) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (note_id) DO UPDATE SET status = excluded.status, note = coalesce(excluded.note, old.note),
    event_time = excluded.event_time, event_id = excluded.event_id
  WHERE old.event_time <= excluded.event_time`;
const SAVE_TRANSCRIPTION = `
  INSERT INTO transcriptions AS old (transcription_id, status, transcription, unavailable, metadata, event_time, event_id)
  VALUES ($1, $2, $3, $4, $5, $6, $7)
  ON CONFLICT (transcription_id) DO UPDATE SET status = excluded.status,
    transcription = coalesce(excluded.transcription, old.transcription),
    unavailable = CASE WHEN excluded.transcription IS NULL THEN old.unavailable ELSE excluded.unavailable END, metadata = excluded.metadata,
    event_time = excluded.event_time, event_id = excluded.event_id
  WHERE old.event_time <= excluded.event_time`;

class Unstorable extends Error {} // the event can never be stored, however often it is delivered
class Away extends Error {} // there is no connection to the database

// work returns the statement that does the work of an event, or null. It runs in the
// transaction that has the event's id. Do not call other services there: a call cannot
// be rolled back. Insert a row into a table of jobs, and let a worker call them.
function work({ id, type, time, data }) {
  if (typeof data.id !== 'string') throw new Unstorable();
  // Text, since the driver would turn an array into one of PostgreSQL's.
  const json = (value) => (value === undefined ? null : JSON.stringify(value));
  switch (type) {
    case 'com.soapnoteapi.note.generated':
    case 'com.soapnoteapi.note.failed':
      return { text: SAVE_NOTE, values: [data.id, data.status, json(data.note), time, id] };
    case 'com.soniox.transcription.completed':
    case 'com.soniox.transcription.error':
      return {
        text: SAVE_TRANSCRIPTION,
        values: [data.id, data.status, json(data.transcription), data.transcription?.unavailable, json(data.metadata), time, id],
      };
    case 'com.soapnoteapi.test': // only with `events *`, or `events test`
      return null;
    default:
      // A provider can add types. Keep the data, and accept the event: an event that is
      // rejected would become dead at the gateway.
      return { text: 'UPDATE events SET unhandled = $2 WHERE id = $1', values: [id, json(data)] };
  }
}

// store stores an event and its work in one transaction, and returns whether it is new.
// Of two deliveries of one event at the same time, the second waits at the insert until
// the transaction of the first has ended.
async function store(event) {
  const client = await pool.connect().catch(() => { throw new Away(); });
  try {
    await client.query('BEGIN');
    const once = await client.query('INSERT INTO events (id, type) VALUES ($1, $2) ON CONFLICT DO NOTHING', [event.id, event.type]);
    const isNew = once.rowCount === 1;
    const statement = isNew ? work(event) : null;
    if (statement) await client.query(statement);
    await client.query('COMMIT');
    client.release();
    return isNew;
  } catch (err) {
    client.release(true); // closes the connection, so the database rolls back
    throw client.lost ? new Away() : err;
  }
}

// statusOf returns the status for an error: it decides what the gateway does with the event.
function statusOf(err) {
  if (err instanceof Unstorable) return 410; // dead at once; after a fix, `caddy scribegate replay` delivers it
  if (/^2[23]/.test(stateOf(err))) return 422; // data that the tables reject: retried, since a deploy can fix it
  // The database is away or full. 429 uses up no attempt, so no event dies of it, and
  // the gateway pauses until Retry-After. A 503 would use up attempts.
  if (err instanceof Away || /^(08|53|57P)/.test(stateOf(err))) return 429;
  return 500; // retried; unlike a 4xx, five in a row pause the upstream
}

function stateOf(err) {
  return err instanceof pg.DatabaseError ? err.code : '';
}

// verify returns why a delivery is rejected, or null. It follows Standard Webhooks 1.0.
function verify(req, body) {
  const id = req.get('webhook-id');
  const timestamp = req.get('webhook-timestamp');
  const signatures = req.get('webhook-signature');
  if (!id || !timestamp || !signatures) return 'webhook-id, webhook-timestamp or webhook-signature is missing';
  if (!/^\d{1,11}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) {
    return 'webhook-timestamp is not within five minutes of now';
  }
  const want = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  // One valid signature is enough: while the secret is rotated, the gateway signs
  // with the old and the new one.
  const valid = signatures.split(' ').some((signature) => {
    if (!signature.startsWith('v1,')) return false;
    const got = Buffer.from(signature.slice('v1,'.length), 'base64');
    return got.length === want.length && timingSafeEqual(got, want); // it throws if the lengths differ
  });
  return valid ? null : 'no webhook-signature matches';
}

// parse returns the event of a verified delivery, or null.
function parse(req, body) {
  if (!req.is('application/cloudevents+json')) return null;
  try {
    const event = JSON.parse(body.toString('utf8'));
    const valid = event.id === req.get('webhook-id') && typeof event.type === 'string' && typeof event.data === 'object' && event.data;
    return valid ? event : null;
  } catch {
    return null; // do not log the error: its text can quote the body
  }
}

const app = express();
app.disable('x-powered-by');

app.get('/healthz', async (req, res) => {
  try {
    await pool.query('SELECT 1');
    res.send('ok\n');
  } catch {
    res.status(503).send('the database does not answer\n');
  }
});

// The signature covers the bytes as they were sent, so no body parser may change
// them: read the raw body of every content type, without decompression.
app.post('/events', express.raw({ type: () => true, limit: MAX_BODY, inflate: false }), async (req, res) => {
  const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
  const reason = verify(req, body);
  if (reason) {
    console.log(`refused 401 ${reason}`);
    return res.sendStatus(401);
  }
  const event = parse(req, body);
  if (!event) {
    console.log('refused 400 the body is not a structured CloudEvent');
    return res.sendStatus(400);
  }

  const what = `${event.type} ${event.id} attempt ${req.get('scribegate-attempt') ?? 0}`;
  try {
    const isNew = await store(event);
    console.log(`${isNew ? 'received' : 'duplicate'} ${what}`);
    res.sendStatus(204); // only after the commit: the gateway then deletes the event
  } catch (err) { // its text can contain the note: never log it
    const status = statusOf(err);
    console.log(`failed ${status} ${stateOf(err) || err.constructor.name} ${what}`);
    if (status === 429) res.set('Retry-After', String(RETRY_AFTER));
    res.sendStatus(status);
  }
});

// Express's default answer to an error contains a stack trace, and its log line can
// contain more.
app.use((err, req, res, next) => {
  console.log(`failed ${err.status ?? 500}`);
  res.sendStatus(err.status ?? 500);
});

try {
  await pool.query(TABLES); // in production, use your tool for migrations
} catch (err) {
  console.error(`cannot use DATABASE_URL: ${err.code ?? err.message}`);
  process.exit(1);
}
const server = app.listen(Number(process.env.PORT ?? 9000), '127.0.0.1', (err) => {
  if (err) {
    console.error(`listening: ${err.code}; choose another port with PORT`);
    process.exit(1);
  }
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

// The gateway retries a delivery that is interrupted here.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  setTimeout(() => server.closeAllConnections(), 1000);
});
