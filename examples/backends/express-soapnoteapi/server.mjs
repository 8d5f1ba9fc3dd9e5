// A backend in Express that was written for SOAPNoteAPI itself, as its
// documentation teaches, and now stands behind Scribegate with `format raw`: it
// verifies X-SoapNoteAPI-Signature over the raw body, and what it gained is
// handling each event once, by webhook-id.
//
//   npm install --no-package-lock
//   SOAPNOTE_SECRET=whsec_... PORT=9000 npm start
import { createHmac, timingSafeEqual } from 'node:crypto';
import express from 'express';

const MAX_BODY = 10 * 1024 * 1024; // bytes

// The key is the whole string, whsec_ included and nothing decoded. Without one
// every caller would have to be believed, so it does not start.
const secret = process.env.SOAPNOTE_SECRET ?? '';
if (!secret) {
  console.error('set SOAPNOTE_SECRET to the secret that SOAPNoteAPI showed (whsec_...)');
  process.exit(1);
}

// verify returns why a delivery is refused.
//
// The timestamp is part of what is signed, so its form is checked, but not its
// age: the gateway did that on receipt. The provider's signature stays the same
// on every attempt, and the last one comes many hours later, so that a backend
// which demands a recent timestamp refuses late retries until the event is dead.
function verify(req, body) {
  const signature = req.get('X-SoapNoteAPI-Signature');
  const timestamp = req.get('X-SoapNoteAPI-Timestamp');
  if (!signature || !timestamp) return 'X-SoapNoteAPI-Signature or X-SoapNoteAPI-Timestamp is missing';
  // Digits only: otherwise a part of the body can pass for the timestamp's end.
  if (!/^[1-9]\d{0,10}$/.test(timestamp)) return 'X-SoapNoteAPI-Timestamp is not in Unix seconds';
  const want = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest();
  const got = Buffer.from(signature, 'hex');
  if (got.length !== want.length || !timingSafeEqual(got, want)) { // it throws where the lengths differ
    return 'X-SoapNoteAPI-Signature does not match: compare SOAPNOTE_SECRET with the gateway\'s secret';
  }
  return null;
}

function parse(body) {
  try {
    const payload = JSON.parse(body.toString('utf8'));
    return typeof payload?.event === 'string' ? payload : null;
  } catch {
    return null; // the error's own text is left out: it can quote the body
  }
}

// In memory the ids are gone with the process. In production, insert the id into
// a table where it is unique, in the same database transaction as what the event
// changes: then both happen or neither does.
//
// SOAPNoteAPI's signature does not cover webhook-id, so whoever saw one delivery
// could send it again under another id. Let nobody but the gateway reach this
// port, or verify webhook-signature besides, as the express example does.
const handled = new Set();

function handle(payload) {
  // The backend's own work with payload.data goes here; it should be quick,
  // since the gateway waits 30 s for an answer unless told otherwise.
}

const app = express();
app.disable('x-powered-by');

app.get('/healthz', (req, res) => res.send('ok\n'));

// The signature covers the bytes as they came, so express.json() must not have
// touched them.
app.post('/{*path}', express.raw({ type: () => true, limit: MAX_BODY, inflate: false }), (req, res) => {
  const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
  const refused = verify(req, body);
  const id = req.get('webhook-id');
  if (refused || !id) {
    const status = refused ? 401 : 400;
    console.log(`refused ${status} ${refused ?? 'webhook-id is missing: is this behind Scribegate?'}`);
    return res.sendStatus(status);
  }
  const payload = parse(body);
  if (!payload) {
    console.log("refused 400 the body is not SOAPNoteAPI's JSON");
    return res.sendStatus(400);
  }

  const attempt = Number.parseInt(req.get('scribegate-attempt'), 10) || 0;
  if (handled.has(id)) {
    console.log(`duplicate ${payload.event} ${id} attempt ${attempt}`);
    return res.sendStatus(204);
  }
  handle(payload);
  handled.add(id);
  console.log(`received ${payload.event} ${id} attempt ${attempt}`);
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
