// A backend in Express that receives Scribegate's deliveries, structured or
// binary: it verifies webhook-signature over the raw body, handles each event
// once by webhook-id, answers 204 and prints one line per event.
//
//   npm install --no-package-lock
//   SCRIBEGATE_SIGNING_SECRET=whsec_... PORT=9000 npm start
import { createHmac, timingSafeEqual } from 'node:crypto';
import express from 'express';

const TOLERANCE = 5 * 60; // seconds
const MAX_BODY = 32 * 1024 * 1024; // bytes

// Without a key every caller would have to be believed, so it does not start.
const secret = process.env.SCRIBEGATE_SIGNING_SECRET ?? '';
const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
if (!secret.startsWith('whsec_') || key.length === 0) {
  console.error("set SCRIBEGATE_SIGNING_SECRET to the gateway's signing_secret (whsec_...)");
  process.exit(1);
}

// verify follows Standard Webhooks 1.0 and returns why a delivery is refused.
function verify(req, body) {
  const id = req.get('webhook-id');
  const timestamp = req.get('webhook-timestamp');
  const signatures = req.get('webhook-signature');
  if (!id || !timestamp || !signatures) return 'webhook-id, webhook-timestamp or webhook-signature is missing';
  if (!/^\d{1,11}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) {
    return 'webhook-timestamp is not within five minutes of now';
  }
  const want = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  // One good signature of several is enough: while the secret is being changed
  // the gateway signs with both.
  const good = signatures.split(' ').some((signature) => {
    if (!signature.startsWith('v1,')) return false;
    const got = Buffer.from(signature.slice('v1,'.length), 'base64');
    return got.length === want.length && timingSafeEqual(got, want); // it throws where the lengths differ
  });
  return good ? null : 'no webhook-signature matches';
}

// parse reads a verified delivery. In the binary format the type is a header,
// which is not signed: what a decision hangs on should be read from data.
function parse(req, body) {
  const id = req.get('webhook-id');
  try {
    const json = JSON.parse(body.toString('utf8'));
    const event = req.is('application/cloudevents+json')
      ? { id: json.id, type: json.type, data: json.data }
      : { id: req.get('ce-id'), type: req.get('ce-type'), data: json };
    return event.type && event.id === id ? event : null;
  } catch {
    return null; // the error's own text is left out: it can quote the body
  }
}

// In memory the ids are gone with the process. In production, insert the id into
// a table where it is unique, in the same database transaction as what the event
// changes: then both happen or neither does.
const handled = new Set();

function handle(event) {
  // The backend's own work with event.data goes here; it should be quick, since
  // the gateway waits 30 s for an answer unless told otherwise.
}

const app = express();
app.disable('x-powered-by');

app.get('/healthz', (req, res) => res.send('ok\n'));

// The signature covers the bytes as they came, so no body parser may have
// touched them: raw for every content type, and nothing is inflated.
app.post('/{*path}', express.raw({ type: () => true, limit: MAX_BODY, inflate: false }), (req, res) => {
  const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
  const refused = verify(req, body);
  if (refused) {
    console.log(`refused 401 ${refused}`);
    return res.sendStatus(401);
  }
  const event = parse(req, body);
  if (!event) {
    console.log('refused 400 the body is neither a structured nor a binary CloudEvent');
    return res.sendStatus(400);
  }

  const attempt = Number.parseInt(req.get('scribegate-attempt'), 10) || 0;
  if (handled.has(event.id)) {
    console.log(`duplicate ${event.type} ${event.id} attempt ${attempt}`);
    return res.sendStatus(204);
  }
  handle(event);
  handled.add(event.id);
  console.log(`received ${event.type} ${event.id} attempt ${attempt}`);
  res.sendStatus(204);
});

// An error is answered with its status alone, and tried again by the gateway:
// Express's own answer holds a stack, and its log line may hold more.
app.use((err, req, res, next) => {
  console.log(`failed ${err.status ?? 500}`);
  res.sendStatus(err.status ?? 500);
});

const server = app.listen(Number(process.env.PORT ?? 9000), '127.0.0.1', (err) => {
  if (err) {
    console.error(`listening: ${err.code}; choose another port with PORT`);
    process.exit(1);
  }
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

// A delivery that is cut off here is tried again.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  setTimeout(() => server.closeAllConnections(), 1000);
});
