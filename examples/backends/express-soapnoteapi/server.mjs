// An Express backend that was written for SOAPNoteAPI, as its documentation
// describes, and now runs behind Scribegate with `format raw`. It verifies
// X-SoapNoteAPI-Signature over the raw body. New is only that it handles each
// event once, by webhook-id.
//
//   npm install --no-package-lock
//   SOAPNOTE_SECRET=whsec_... PORT=9000 npm start
import { createHmac, timingSafeEqual } from 'node:crypto';
import express from 'express';

const MAX_BODY = 10 * 1024 * 1024; // bytes

// The key is the whole string, with whsec_ and not decoded. Without a key the
// backend could not reject anybody, so it does not start.
const secret = process.env.SOAPNOTE_SECRET ?? '';
if (!secret) {
  console.error('set SOAPNOTE_SECRET to the secret that SOAPNoteAPI showed (whsec_...)');
  process.exit(1);
}

// verify returns why a delivery is rejected, or null.
//
// It checks the form of the timestamp, which is part of the signed bytes, but not
// its age: the gateway checked the age on receipt. The provider's signature is the
// same on every attempt, and the last attempt is many hours later. A backend that
// requires a recent timestamp rejects late retries until the event is dead.
function verify(req, body) {
  const signature = req.get('X-SoapNoteAPI-Signature');
  const timestamp = req.get('X-SoapNoteAPI-Timestamp');
  if (!signature || !timestamp) return 'X-SoapNoteAPI-Signature or X-SoapNoteAPI-Timestamp is missing';
  // Digits only: otherwise the start of the body could be read as the timestamp's end.
  if (!/^[1-9]\d{0,10}$/.test(timestamp)) return 'X-SoapNoteAPI-Timestamp is not in Unix seconds';
  const want = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest();
  const got = Buffer.from(signature, 'hex');
  if (got.length !== want.length || !timingSafeEqual(got, want)) { // it throws if the lengths differ
    return 'X-SoapNoteAPI-Signature does not match: compare SOAPNOTE_SECRET with the gateway\'s secret';
  }
  return null;
}

// parse returns the payload of a verified delivery, or null.
function parse(body) {
  try {
    const payload = JSON.parse(body.toString('utf8'));
    return typeof payload?.event === 'string' ? payload : null;
  } catch {
    return null; // do not log the error: its text can quote the body
  }
}

// The ids in memory are lost when the process ends. In production, insert the id
// into a table with a unique key, in the same database transaction as the changes
// that the event makes: then both happen or neither does.
//
// SOAPNoteAPI's signature does not cover webhook-id: a person who saw one delivery
// could send it again with another id. Make this port reachable for the gateway
// only, or verify webhook-signature too, as the express example does.
const handled = new Set();

function handle(payload) {
  // Your own work with payload.data goes here. Keep it short: the gateway waits
  // 30 s for an answer, unless `timeout` is set.
}

const app = express();
app.disable('x-powered-by');

app.get('/healthz', (req, res) => res.send('ok\n'));

// The signature covers the bytes as they were sent, so express.json() must not
// parse them first.
app.post('/{*path}', express.raw({ type: () => true, limit: MAX_BODY, inflate: false }), (req, res) => {
  const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
  const reason = verify(req, body);
  const id = req.get('webhook-id');
  if (reason || !id) {
    const status = reason ? 401 : 400;
    console.log(`refused ${status} ${reason ?? 'webhook-id is missing: is this behind Scribegate?'}`);
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
