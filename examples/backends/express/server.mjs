// An Express backend that receives Scribegate's deliveries in the formats
// structured and binary. It verifies webhook-signature over the raw body, handles
// each event once by webhook-id, answers 204 and prints one line per event.
//
//   npm install --no-package-lock
//   SCRIBEGATE_SIGNING_SECRET=whsec_... PORT=9000 npm start
import { createHmac, timingSafeEqual } from 'node:crypto';
import express from 'express';

const TOLERANCE = 5 * 60; // seconds
const MAX_BODY = 32 * 1024 * 1024; // bytes

// Without a key the backend could not reject anybody, so it does not start.
const secret = process.env.SCRIBEGATE_SIGNING_SECRET ?? '';
const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
if (!secret.startsWith('whsec_') || key.length === 0) {
  console.error("set SCRIBEGATE_SIGNING_SECRET to the gateway's signing_secret (whsec_...)");
  process.exit(1);
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

// parse returns the event of a verified delivery, or null. In the binary format
// the type is a header, and the signature does not cover it: decide by data.
function parse(req, body) {
  const id = req.get('webhook-id');
  try {
    const json = JSON.parse(body.toString('utf8'));
    const event = req.is('application/cloudevents+json')
      ? { id: json.id, type: json.type, data: json.data }
      : { id: req.get('ce-id'), type: req.get('ce-type'), data: json };
    return event.type && event.id === id ? event : null;
  } catch {
    return null; // do not log the error: its text can quote the body
  }
}

// The ids in memory are lost when the process ends. In production, insert the id
// into a table with a unique key, in the same database transaction as the changes
// that the event makes: then both happen or neither does.
const handled = new Set();

function handle(event) {
  // Your own work with event.data goes here. Keep it short: the gateway waits 30 s
  // for an answer, unless `timeout` is set.
}

const app = express();
app.disable('x-powered-by');

app.get('/healthz', (req, res) => res.send('ok\n'));

// The signature covers the bytes as they were sent, so no body parser may change
// them: read the raw body of every content type, without decompression.
app.post('/{*path}', express.raw({ type: () => true, limit: MAX_BODY, inflate: false }), (req, res) => {
  const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
  const reason = verify(req, body);
  if (reason) {
    console.log(`refused 401 ${reason}`);
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

// On an error, answer with the status only, and the gateway retries. Express's
// default answer contains a stack trace, and its log line can contain more.
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

// The gateway retries a delivery that is interrupted here.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  setTimeout(() => server.closeAllConnections(), 1000);
});
